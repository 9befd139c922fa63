#include "pod/names.h"

#include <sys/file.h>

#include "base/chars.h"
#include "base/strings.h"
#include "pod/state.h"
#include "sys/file.h"

namespace cooper::pod {
namespace {

Result<UniqueFd> open_names(const Layout& layout) {
  return sys::openat(sys::kCwd, layout.names(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

Result<std::optional<PodUuid>> read_name(BorrowedFd names, const std::string& name) {
  auto target = sys::readlinkat(names, name);
  if (!target.ok()) {
    const int e = target.error().errno_value();
    if (e == ENOENT || e == EINVAL || e == ENOTDIR || e == ENAMETOOLONG) return std::optional<PodUuid>();
    return std::move(target).error();
  }
  auto uuid = PodUuid::parse(*target);
  if (!uuid.ok()) return std::optional<PodUuid>();
  return std::optional<PodUuid>(std::move(uuid).value());
}

// A pod in garbage has given its name up (or died just before doing so).
Result<bool> is_stale(const Layout& layout, BorrowedFd names, const std::string& name) {
  ASSIGN_OR_RETURN(const auto uuid, read_name(names, name));
  if (!uuid) return true;
  auto pod = open_pod(layout, *uuid);
  if (pod.ok()) return pod->place == Place::kGarbage;
  if (pod.error().code() == Errc::kNotFound) return true;
  return std::move(pod).error();
}

}  // namespace

Status check_name(std::string_view name) {
  const auto bad = [&](const std::string& why) {
    return Error(Errc::kInvalidArgument, "pod name " + quoted(name) + " " + why);
  };
  if (name.empty() || name.size() > kMaxNameBytes)
    return bad("must have 1 to " + std::to_string(kMaxNameBytes) + " bytes");
  if (!is_alnum(name[0])) return bad("must start with a letter or digit");
  for (const char c : name) {
    if (!is_alnum(c) && c != '_' && c != '.' && c != '-') return bad("may only have letters, digits, '_', '.' and '-'");
  }
  if (PodUuid::parse(name).ok()) return bad("must not look like the id of a pod");
  return {};
}

std::string default_name(std::string_view app, const PodUuid& uuid) {
  return std::string(app).append("-").append(uuid.short_str());
}

Status take_name(const Layout& layout, const std::string& name, const PodUuid& uuid) {
  ASSIGN_OR_RETURN(const UniqueFd names, open_names(layout));
  Status made = sys::symlinkat(uuid.str(), names, name);
  if (made.ok() || made.error().errno_value() != EEXIST) return made;
  // Stale names are replaced under a lock, so that nobody removes a link that somebody else has just put in its place.
  RETURN_IF_ERROR(sys::flock(names, LOCK_EX));
  ASSIGN_OR_RETURN(const bool stale, is_stale(layout, names, name));
  if (stale) {
    Status removed = sys::unlinkat(names, name);
    if (!removed.ok() && removed.error().errno_value() != ENOENT) return removed;
    made = sys::symlinkat(uuid.str(), names, name);
    if (made.ok() || made.error().errno_value() != EEXIST) return made;
  }
  ASSIGN_OR_RETURN(const auto owner, read_name(names, name));
  return Error(Errc::kAlreadyExists,
               "the name " + quoted(name) + " is in use by pod " + quoted(owner ? owner->str() : "?"), EEXIST)
      .with_hint("remove that pod with 'cooper rm " + name + "', or choose another name");
}

Status release_name(const Layout& layout, const std::string& name, const PodUuid& uuid) {
  ASSIGN_OR_RETURN(const UniqueFd names, open_names(layout));
  RETURN_IF_ERROR(sys::flock(names, LOCK_EX));
  ASSIGN_OR_RETURN(const auto owner, read_name(names, name));
  if (!owner || *owner != uuid) return {};
  return sys::unlinkat(names, name);
}

Result<std::optional<PodUuid>> lookup_name(const Layout& layout, const std::string& name) {
  if (name.empty() || name.find('/') != std::string::npos) return std::optional<PodUuid>();
  return read_name(sys::kCwd, layout.names() + "/" + name);
}

Result<std::vector<std::string>> remove_stale_names(const Layout& layout) {
  ASSIGN_OR_RETURN(const UniqueFd names, open_names(layout));
  RETURN_IF_ERROR(sys::flock(names, LOCK_EX));
  ASSIGN_OR_RETURN(const auto all, sys::list_directory(names));
  std::vector<std::string> removed;
  for (const std::string& name : all) {
    ASSIGN_OR_RETURN(const bool stale, is_stale(layout, names, name));
    if (stale && sys::unlinkat(names, name).ok()) removed.push_back(name);
  }
  return removed;
}

}  // namespace cooper::pod
