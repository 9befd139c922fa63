// Credentials: user, groups, capabilities, prctl switches. Raw system calls: they act on the calling thread only, which
// is the whole process wherever this is used (style: the process that clones is single-threaded).
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <span>

#include "base/error.h"

namespace cooper::sys {

// Bit n is capability n. The five sets of capabilities(7).
using CapMask = std::uint64_t;
struct CapSets {
  CapMask bounding = 0;
  CapMask effective = 0;
  CapMask permitted = 0;
  CapMask inheritable = 0;
  CapMask ambient = 0;
};

Status setgroups(std::span<const gid_t> groups);
Status setresgid(gid_t gid);
Status setresuid(uid_t uid);
Status set_keepcaps(bool on);
Status set_no_new_privs();
Status set_dumpable(bool on);
Status set_child_subreaper(bool on);
// signal 0 clears it.
Status set_parent_death_signal(int signal);
Result<CapMask> get_bounding_caps();
// Drops every capability not in keep from the bounding set (needs CAP_SETPCAP).
Status drop_bounding_caps(CapMask keep);
Status capset(CapMask effective, CapMask permitted, CapMask inheritable);
Result<CapSets> capget();
Result<CapMask> permitted_caps();
Status clear_ambient_caps();
Status raise_ambient_cap(int cap);
// Highest capability this kernel knows (/proc/sys/kernel/cap_last_cap is not needed: probed with PR_CAPBSET_READ).
int last_cap();

}  // namespace cooper::sys
