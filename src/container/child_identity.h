// Zone S: the child's own entry of the host's /proc, opened while that is in view: which namespaces it is in, and the
// id maps of one it makes.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "container/plan.h"

namespace cooper::container {

class OwnIdentity {
 public:
  Status open();
  // "cgroup=4026531835 ipc=...", as parse_namespaces() takes it. A namespace that the kernel does not have is left out.
  Result<std::string> namespaces() const;
  // A user namespace in which uid and gid stand for root of the one the caller is in, whose root the caller is.
  Status enter_inner(uid_t uid, gid_t gid) const;
  // Whether the user namespace that the caller is in maps these ids; in view is the host's /proc.
  static Status check_mapped(const SetCredentials& wanted);
  // One that is there, below the one the caller is in.
  static Status go_to_inner(BorrowedFd user_namespace);

 private:
  UniqueFd self_;
};

std::map<std::string, std::uint64_t> parse_namespaces(std::string_view text);

}  // namespace cooper::container
