#include <algorithm>
#include <array>
#include <atomic>
#include <memory>

#include "base/strings.h"
#include "cgroup/cgroup.h"
#include "cgroup/internal/files.h"
#include "io/file.h"
#include "io/mountinfo.h"

namespace cooper::cgroup {
namespace {

constexpr std::string_view kMarker = " - cgroup";

// Mount options of a v1 mount that are not controllers.
bool is_controller_option(std::string_view option) {
  constexpr std::array<std::string_view, 8> kOthers{
      "rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode", "favordynmods", "none"};
  if (std::find(kOthers.begin(), kOthers.end(), option) != kOthers.end()) return false;
  return !option.starts_with("release_agent=");
}

// One line of mountinfo(5); nullopt when it is not a cgroup mount.
std::optional<Hierarchy> parse_mount(std::string_view line) {
  const auto halves = line.find(kMarker);
  if (halves == std::string_view::npos) return std::nullopt;
  const auto front = split(line.substr(0, halves), ' ');
  const auto back = split(line.substr(halves + 3), ' ');
  if (front.size() < 6 || back.size() < 3) return std::nullopt;
  Hierarchy out;
  out.mount_root = io::unescape_mount(front[3]);
  out.mount_point = io::unescape_mount(front[4]);
  out.read_only = std::ranges::count(split(front[5], ','), "ro") != 0;
  if (back[0] == "cgroup2") {
    out.v2 = true;
    return out;
  }
  if (back[0] != "cgroup") return std::nullopt;
  for (const auto option : split(back[2], ',')) {
    if (is_controller_option(option)) out.controllers.emplace_back(option);
  }
  if (out.controllers.empty()) return std::nullopt;
  return out;
}

// The same tree may be mounted more than once; the one whose root is not a part of the tree wins, then the one of the
// usual place.
bool better(const Hierarchy& a, const Hierarchy& b) {
  const auto rank = [](const Hierarchy& h) {
    return (h.mount_root == "/" ? 2 : 0) + (h.mount_point.starts_with("/sys/fs/cgroup") ? 1 : 0);
  };
  return rank(a) > rank(b);
}

}  // namespace

std::string Hierarchy::directory(std::string_view group) const {
  return directory_of(mount_point, mount_root, group);
}

const Hierarchy* Layout::find(std::string_view controller) const {
  if (controller.empty()) return v2();
  for (const Hierarchy& hierarchy : hierarchies) {
    if (std::find(hierarchy.controllers.begin(), hierarchy.controllers.end(), controller) !=
        hierarchy.controllers.end())
      return &hierarchy;
  }
  return nullptr;
}

const Hierarchy* Layout::v2() const {
  for (const Hierarchy& hierarchy : hierarchies) {
    if (hierarchy.v2) return &hierarchy;
  }
  return nullptr;
}

std::string Layout::why_none() const {
  if (hierarchies.empty()) return "no cgroup file system is mounted";
  if (std::ranges::all_of(hierarchies, &Hierarchy::read_only)) return "the cgroup file systems are mounted read-only";
  return {};
}

Result<Layout> parse_layout(std::string_view mountinfo) {
  Layout layout;
  bool v1 = false;
  // Hosts have thousands of mounts: only the lines that name the type are taken apart.
  for (std::size_t at = mountinfo.find(kMarker); at != std::string_view::npos; at = mountinfo.find(kMarker, at + 1)) {
    const std::size_t begin = mountinfo.rfind('\n', at) + 1;  // npos + 1 is 0
    auto mount = parse_mount(mountinfo.substr(begin, mountinfo.find('\n', at) - begin));
    if (!mount) continue;
    const auto same = std::find_if(layout.hierarchies.begin(), layout.hierarchies.end(), [&](const Hierarchy& known) {
      return known.v2 == mount->v2 && known.controllers == mount->controllers;
    });
    if (same == layout.hierarchies.end()) {
      v1 = v1 || !mount->v2;
      layout.hierarchies.push_back(std::move(*mount));
    } else if (mount->mount_point == same->mount_point || better(*mount, *same)) {  // the later one covers the other
      *same = std::move(*mount);
    }
  }
  const bool v2 = layout.v2() != nullptr;
  layout.mode = v1 ? (v2 ? Mode::kHybrid : Mode::kV1) : (v2 ? Mode::kV2 : Mode::kNone);
  return layout;
}

Result<Layout> probe_layout() {
  // Never freed: what a process has found stays true for its groups, whatever is mounted later.
  static std::atomic<const Layout*> known{nullptr};
  if (const Layout* found = known.load(std::memory_order_acquire); found != nullptr) return *found;
  auto text = io::read_file("/proc/self/mountinfo");
  if (!text.ok()) return std::move(text).error().with("find the cgroup hierarchies");
  ASSIGN_OR_RETURN(Layout layout, parse_layout(*text));
  const Layout* nobody = nullptr;
  auto fresh = std::make_unique<const Layout>(layout);
  if (known.compare_exchange_strong(nobody, fresh.get(), std::memory_order_acq_rel)) (void)fresh.release();
  return layout;
}

std::map<std::string, std::string> parse_own_paths(std::string_view text) {
  std::map<std::string, std::string> out;
  for (const auto line : split(text, '\n')) {
    const auto number = split_once(line, ':');
    if (!number) continue;
    const auto rest = split_once(number->second, ':');
    if (!rest) continue;
    for (const auto controller : split(rest->first, ',')) out[std::string(controller)] = std::string(rest->second);
  }
  return out;
}

Result<std::map<std::string, std::string>> own_paths() {
  ASSIGN_OR_RETURN(const std::string text, io::read_file("/proc/self/cgroup"));
  return parse_own_paths(text);
}

Result<std::map<std::string, std::string>> paths_of(pid_t pid) {
  ASSIGN_OR_RETURN(const std::string text, io::read_file("/proc/" + std::to_string(pid) + "/cgroup"));
  return parse_own_paths(text);
}

}  // namespace cooper::cgroup
