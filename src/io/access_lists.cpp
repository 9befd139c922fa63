#include "io/access_lists.h"

#include <sys/stat.h>

#include <array>
#include <cerrno>

#include "sys/file.h"
#include "sys/xattr.h"

namespace cooper::io {

Result<AccessLists> take_access_lists(BorrowedFd directory) {
  constexpr std::array<const char*, 2> kLists = {"system.posix_acl_default", "system.posix_acl_access"};
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(directory));
  AccessLists out{.mode = info.st_mode & 07777, .lists = {}};
  for (const char* name : kLists) {
    auto list = sys::fgetxattr(directory, name);
    if (!list.ok()) {
      const int why = list.error().errno_value();
      if (why == ENODATA || why == EOPNOTSUPP) continue;
      give_back(directory, out);
      return std::move(list).error();
    }
    if (Status removed = sys::fremovexattr(directory, name); !removed.ok()) {
      give_back(directory, out);
      return std::move(removed).error();
    }
    out.lists.emplace_back(name, std::move(*list));
  }
  return out;
}

void give_back(BorrowedFd directory, const AccessLists& taken) {
  if (taken.lists.empty()) return;
  for (const auto& [name, list] : taken.lists) (void)!sys::fsetxattr(directory, name, list).ok();
  // A change of the lists may take the set-group-ID bit, and another mode came with their going.
  (void)!sys::fchmod(directory, taken.mode).ok();
}

}  // namespace cooper::io
