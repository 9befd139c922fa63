#include "sys/cred.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace cooper::sys {
namespace {

Status prctl_status(int option, unsigned long a, unsigned long b, const char* what) {
  if (::prctl(option, a, b, 0UL, 0UL) != 0) return Error::from_errno(errno, what);
  return {};
}

std::uint32_t low(CapMask mask) {
  return static_cast<std::uint32_t>(mask);
}
std::uint32_t high(CapMask mask) {
  return static_cast<std::uint32_t>(mask >> 32);
}

}  // namespace

Status setgroups(std::span<const gid_t> groups) {
  if (::syscall(SYS_setgroups, groups.size(), groups.data()) != 0)
    return Error::from_errno(errno, "set supplementary groups");
  return {};
}

Status setresgid(gid_t gid) {
  if (::syscall(SYS_setresgid, gid, gid, gid) != 0) return Error::from_errno(errno, "set group " + std::to_string(gid));
  return {};
}

Status setresuid(uid_t uid) {
  if (::syscall(SYS_setresuid, uid, uid, uid) != 0) return Error::from_errno(errno, "set user " + std::to_string(uid));
  return {};
}

Status set_keepcaps(bool on) {
  return prctl_status(PR_SET_KEEPCAPS, on ? 1 : 0, 0, "keep capabilities");
}
Status set_no_new_privs() {
  return prctl_status(PR_SET_NO_NEW_PRIVS, 1, 0, "set no_new_privs");
}
Status set_dumpable(bool on) {
  return prctl_status(PR_SET_DUMPABLE, on ? 1 : 0, 0, "set dumpable");
}
Status set_child_subreaper(bool on) {
  return prctl_status(PR_SET_CHILD_SUBREAPER, on ? 1 : 0, 0, "become subreaper");
}
Status set_parent_death_signal(int signal) {
  return prctl_status(PR_SET_PDEATHSIG, static_cast<unsigned long>(signal), 0, "set parent death signal");
}

int last_cap() {
  static const int last = [] {
    int known = 0;  // CAP_CHOWN is in every kernel
    int unknown = 64;
    while (unknown - known > 1) {
      const int middle = (known + unknown) / 2;
      const bool refused = ::prctl(PR_CAPBSET_READ, static_cast<unsigned long>(middle), 0UL, 0UL, 0UL) < 0;
      // Any other error says nothing about the capability, and one too few would leave it to the container.
      (refused && errno == EINVAL ? unknown : known) = middle;
    }
    return known;
  }();
  return last;
}

Result<CapMask> get_bounding_caps() {
  CapMask mask = 0;
  for (int cap = 0; cap <= last_cap(); ++cap) {
    const int held = ::prctl(PR_CAPBSET_READ, static_cast<unsigned long>(cap), 0UL, 0UL, 0UL);
    if (held < 0 && errno != EINVAL) return Error::from_errno(errno, "read the bounding capabilities");
    if (held == 1) mask |= CapMask{1} << cap;
  }
  return mask;
}

Status drop_bounding_caps(CapMask keep) {
  for (int cap = 0; cap <= last_cap(); ++cap) {
    if ((keep & (CapMask{1} << cap)) != 0) continue;
    const int held = ::prctl(PR_CAPBSET_READ, static_cast<unsigned long>(cap), 0UL, 0UL, 0UL);
    if (held == 0 || (held < 0 && errno == EINVAL)) continue;
    RETURN_IF_ERROR(prctl_status(PR_CAPBSET_DROP, static_cast<unsigned long>(cap), 0, "drop bounding capability"));
  }
  return {};
}

Status capset(CapMask effective, CapMask permitted, CapMask inheritable) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {{low(effective), low(permitted), low(inheritable)},
                                           {high(effective), high(permitted), high(inheritable)}};
  if (::syscall(SYS_capset, &header, data) != 0) return Error::from_errno(errno, "set capabilities");
  return {};
}

namespace {

// Effective, permitted and inheritable, which one call tells.
Result<CapSets> own_sets() {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {};
  if (::syscall(SYS_capget, &header, data) != 0) return Error::from_errno(errno, "get capabilities");
  CapSets out;
  out.effective = data[0].effective | (CapMask{data[1].effective} << 32);
  out.permitted = data[0].permitted | (CapMask{data[1].permitted} << 32);
  out.inheritable = data[0].inheritable | (CapMask{data[1].inheritable} << 32);
  return out;
}

}  // namespace

Result<CapMask> permitted_caps() {
  ASSIGN_OR_RETURN(const CapSets own, own_sets());
  return own.permitted;
}

Result<CapSets> capget() {
  ASSIGN_OR_RETURN(CapSets out, own_sets());
  ASSIGN_OR_RETURN(out.bounding, get_bounding_caps());
  for (int cap = 0; cap <= last_cap(); ++cap) {
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, static_cast<unsigned long>(cap), 0UL, 0UL) == 1)
      out.ambient |= CapMask{1} << cap;
  }
  return out;
}

Status clear_ambient_caps() {
  return prctl_status(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, "clear ambient capabilities");
}

Status raise_ambient_cap(int cap) {
  return prctl_status(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, static_cast<unsigned long>(cap),
                      "raise ambient capability");
}

}  // namespace cooper::sys
