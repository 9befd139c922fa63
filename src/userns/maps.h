// User and group ids of a user namespace that a user without privileges makes: which ones there are, and how they get
// into it.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "spec/oci_runtime/types.h"

namespace cooper::userns {

struct Maps {
  std::vector<spec::oci_runtime::IdMapping> uids, gids;
};

// What this user may map: id 0 is the user; from 1 on come the ranges that subuid(5) and subgid(5) give to the user, by
// name or number, when there are such for both and newuidmap(1) and newgidmap(1), which write them, are in the path.
Maps own_maps(uid_t uid, gid_t gid);
// The same, of the texts of passwd(5), subuid(5) and subgid(5).
struct Accounts {
  std::string passwd, subuid, subgid;
};
Maps maps_of(const Accounts& accounts, uid_t uid, gid_t gid);

// Writes the maps of the namespace that process `pid` has just made. The kernel takes any from whoever has CAP_SETUID
// over the parent namespace, and from everybody else only their own id; wider ones are written by newuidmap(1) and
// newgidmap(1), which check /etc/subuid and /etc/subgid.
Status write_id_maps(pid_t pid, const std::vector<spec::oci_runtime::IdMapping>& uid,
                     const std::vector<spec::oci_runtime::IdMapping>& gid);

}  // namespace cooper::userns
