#include "io/regular.h"

#include "base/strings.h"
#include "sys/file.h"

namespace cooper::io {

Result<UniqueFd> open_regular(const RootDir& root, std::string_view path) {
  ASSIGN_OR_RETURN(const UniqueFd found, root.open_at(path, O_PATH));
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(found));
  if (!S_ISREG(info.st_mode)) return Error(Errc::kInvalidArgument, quoted(path) + " is not a regular file", EINVAL);
  auto opened = sys::reopen(found, O_RDONLY | O_NOCTTY);
  if (!opened.ok()) return std::move(opened).error().with(quoted(path));
  return opened;
}

}  // namespace cooper::io
