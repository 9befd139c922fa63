#include "container/kernel_mounts.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include <utility>

#include "base/strings.h"
#include "container/validate_rules.h"
#include "sys/file.h"

namespace cooper::container {

Error exchanged(std::string_view place) {
  return Error(Errc::kPermission, quoted(place) + " was exchanged by another process during the start");
}

std::optional<io::RootDir>* KernelMounts::of(std::string_view destination) {
  const std::string place = rules::clean_path(destination);
  return place == "/proc" ? &proc_ : place == "/sys" ? &sys_ : nullptr;
}

void KernelMounts::forget(std::string_view destination) {
  if (auto* known = of(destination); known != nullptr) known->reset();
}

Status KernelMounts::note(std::string_view destination, BorrowedFd top) {
  auto* known = of(destination);
  if (known == nullptr) return {};
  known->reset();
  ASSIGN_OR_RETURN(const struct statfs info, sys::fstatfs(top));
  if (info.f_type != (known == &proc_ ? PROC_SUPER_MAGIC : SYSFS_MAGIC)) return {};
  ASSIGN_OR_RETURN(UniqueFd own, sys::dup_cloexec(top));
  known->emplace(io::RootDir::adopt(std::move(own)));
  return {};
}

Status KernelMounts::find_copies(const io::RootDir& root) {
  for (auto& [known, place] : {std::pair(&proc_, "/proc"), std::pair(&sys_, "/sys")}) {
    if (!*known) continue;
    ASSIGN_OR_RETURN(const struct stat old, sys::fstat((*known)->fd()));
    ASSIGN_OR_RETURN(UniqueFd copy, root.open_at(place, O_PATH | O_DIRECTORY));
    ASSIGN_OR_RETURN(const struct stat now, sys::fstat(copy));
    if (now.st_dev != old.st_dev || now.st_ino != old.st_ino) return exchanged(place);
    known->emplace(io::RootDir::adopt(std::move(copy)));
  }
  return {};
}

KernelMounts::Place KernelMounts::find(const std::string& path, const io::RootDir& root) const {
  std::string clean = rules::clean_path(path);
  if (proc_ && clean.starts_with("/proc/")) return {&*proc_, clean.substr(sizeof "/proc" - 1)};
  if (sys_ && clean.starts_with("/sys/")) return {&*sys_, clean.substr(sizeof "/sys" - 1)};
  return {&root, std::move(clean)};
}

}  // namespace cooper::container
