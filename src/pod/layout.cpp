#include "pod/layout.h"

#include "base/strings.h"
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

Status make_layout(const Layout& layout) {
  // The last one made of each tree stands for all of them.
  if (!sys::fstatat(sys::kCwd, layout.names()).ok()) {
    for (const Place place : kPlaces) RETURN_IF_ERROR(io::make_directories(layout.place(place), 0711));
    RETURN_IF_ERROR(io::make_directories(layout.names(), 0711));
  }
  if (!sys::fstatat(sys::kCwd, layout.run_pods()).ok()) {
    RETURN_IF_ERROR(io::make_directories(layout.containers(), 0700));
    RETURN_IF_ERROR(io::make_directories(layout.run_pods(), 0700));
  }
  return {};
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
