#include "container/open_namespace.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <optional>

#include "base/strings.h"
#include "sys/file.h"
#include "sys/tables.h"

namespace cooper::container {
namespace {

// What the file is, when it is not a namespace of this type.
std::optional<std::string> other_kind(BorrowedFd fd, const sys::NamespaceInfo& wanted) {
  const int kind = ::ioctl(fd.get(), NS_GET_NSTYPE);
  if (kind == wanted.clone_flag) return {};
  const auto all = sys::namespaces();
  const auto found = std::ranges::find(all, kind, &sys::NamespaceInfo::clone_flag);
  return found == all.end() ? "no namespace" : "a namespace of type " + std::string(found->oci_name);
}

}  // namespace

Result<UniqueFd> open_namespace(const std::string& type, const std::string& path) {
  const sys::NamespaceInfo* info = sys::namespace_by_oci_name(type);
  if (info == nullptr) return Error(Errc::kInternal, "unknown namespace " + quoted(type));
  // A FIFO would wait for a writer, a terminal could become ours.
  auto fd = sys::openat(sys::kCwd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!fd.ok()) return std::move(fd).error().with(type + " namespace");
  if (const auto other = other_kind(*fd, *info)) {
    return Error(Errc::kInvalidArgument, type + " namespace " + quoted(path) + ": the file is " + *other, EINVAL)
        .with_hint("name one such as '/proc/PID/ns/" + std::string(info->proc_name) + "'");
  }
  return fd;
}

}  // namespace cooper::container
