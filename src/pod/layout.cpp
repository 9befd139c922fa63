#include "pod/layout.h"

#include <fcntl.h>

#include <cerrno>

#include "base/strings.h"
#include "image/owner.h"
#include "io/file.h"
#include "monitor/protocol.h"
#include "sys/file.h"

namespace cooper::pod {

std::string_view directory_name(Place place) {
  switch (place) {
    case Place::kEmbryo:
      return "embryo";
    case Place::kPrepare:
      return "prepare";
    case Place::kPrepared:
      return "prepared";
    case Place::kRun:
      return "run";
    case Place::kExitedGarbage:
      return "exited-garbage";
    case Place::kGarbage:
      return "garbage";
  }
  return "";
}

std::string Layout::monitor_socket(const PodUuid& uuid) const {
  return run_dir(uuid).append("/").append(monitor::protocol::kSocketName);
}

namespace {

bool same_directory(const std::string& a, const std::string& b) {
  if (a == b) return true;
  const auto first = sys::fstatat(sys::kCwd, a, 0);
  const auto second = sys::fstatat(sys::kCwd, b, 0);
  return first.ok() && second.ok() && first->st_dev == second->st_dev && first->st_ino == second->st_ino;
}

// `is_free`: whether nothing hinders `link` from naming another place than `former`.
template <typename IsFree>
Status keep_link(const std::string& link, const std::string& place, const IsFree& is_free, const std::string& what) {
  constexpr int kTries = 10;  // others may do the same
  for (int i = 0; i < kTries; ++i) {
    auto former = sys::readlinkat(sys::kCwd, link);
    if (former.ok() && same_directory(*former, place)) return {};
    if (former.ok() && !is_free(*former)) {
      return Error(Errc::kWrongState, what + " is in use with " + quoted(*former) + ", not with " + quoted(place))
          .with_hint("--root and --run-root belong together: give those that the pods were started with");
    }
    if (!former.ok() && former.error().code() != Errc::kNotFound) return std::move(former).error();
    if (former.ok()) RETURN_IF_ERROR(sys::unlinkat(sys::kCwd, link));
    Status made = sys::symlinkat(place, sys::kCwd, link);
    // Where nothing can be written, nothing can be started either.
    if (made.ok() || made.error().errno_value() == EROFS) return {};
    if (made.error().errno_value() != EEXIST) return made;
  }
  return Error(Errc::kBusy, what + ": others change " + quoted(link) + " all the time");
}

bool has_pods(const std::string& run_root) {
  const auto dir = sys::openat(sys::kCwd, run_root + "/pods", O_RDONLY | O_DIRECTORY);
  if (!dir.ok()) return false;
  const auto names = sys::list_directory(*dir);
  return !names.ok() || !names->empty();
}

Status bind_roots(const Layout& layout) {
  const auto root_is_gone = [](const std::string& root) { return !sys::fstatat(sys::kCwd, root + "/pods", 0).ok(); };
  RETURN_IF_ERROR(keep_link(
      layout.root_link(), layout.root(),
      [&](const std::string& root) { return root_is_gone(root) || !has_pods(layout.run_root()); },
      "run root " + quoted(layout.run_root())));
  return keep_link(
      layout.run_root_link(), layout.run_root(), [](const std::string& other) { return !has_pods(other); },
      "root " + quoted(layout.root()));
}

}  // namespace

Status make_layout(const Layout& layout) {
  // The last one made of each tree stands for all of them.
  if (!sys::fstatat(sys::kCwd, layout.names()).ok()) {
    // Of a user without privileges, who has images alone.
    RETURN_IF_ERROR(image::check_store_owner(layout.images()));
    for (const Place place : kPlaces) RETURN_IF_ERROR(io::make_directories(layout.place(place), 0711));
    RETURN_IF_ERROR(io::make_directories(layout.names(), 0711));
  }
  if (!sys::fstatat(sys::kCwd, layout.run_pods()).ok()) {
    RETURN_IF_ERROR(io::make_directories(layout.containers(), 0700));
    RETURN_IF_ERROR(io::make_directories(layout.run_pods(), 0700));
  }
  return bind_roots(layout);
}

std::string derive_cgroup_parent(const std::string& run_root) {
  if (run_root == EngineOptions().run_root) return "/cooper";
  // FNV-1a: stable across builds and machines, which std::hash is not.
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char c : run_root) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  std::string bytes;
  for (int shift = 56; shift >= 32; shift -= 8) bytes += static_cast<char>((hash ^ (hash << 32)) >> shift & 0xff);
  return "/cooper-" + hex_encode(bytes);
}

Result<std::string> clean_path(std::string_view path, std::string_view what) {
  const auto bad = [&](const char* why) {
    return Error(Errc::kInvalidArgument, std::string(what) + " " + quoted(path) + " " + why);
  };
  if (!path.starts_with('/')) return bad("must be an absolute path");
  if (path.find('\0') != std::string_view::npos) return bad("must not contain a zero byte");
  std::string out;
  for (const std::string_view part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") return bad("must not contain '..'");
    out.append("/").append(part);
  }
  if (out.empty()) out = "/";
  return out;
}

}  // namespace cooper::pod
