#include "spec/libcontainer/types.h"

#include <sched.h>

#include <algorithm>
#include <array>

namespace cooper::spec::libcontainer {
namespace {

struct TypeRow {
  std::string_view type;
  std::string_view file;  // in /proc/PID/ns
  std::uint64_t flag;
};
constexpr std::array<TypeRow, 6> kTypes{{{"NEWNET", "net", CLONE_NEWNET},
                                         {"NEWPID", "pid", CLONE_NEWPID},
                                         {"NEWNS", "mnt", CLONE_NEWNS},
                                         {"NEWUTS", "uts", CLONE_NEWUTS},
                                         {"NEWIPC", "ipc", CLONE_NEWIPC},
                                         {"NEWUSER", "user", CLONE_NEWUSER}}};

const TypeRow* find_type(std::string_view type) {
  const auto* const found = std::ranges::find(kTypes, type, &TypeRow::type);
  return found == kTypes.end() ? nullptr : found;
}

std::string number_or_all(std::int64_t number) {
  return number == kWildcard ? std::string("*") : std::to_string(number);
}

std::string keyed(std::int64_t major, std::int64_t minor, std::uint64_t value) {
  return std::to_string(major) + ":" + std::to_string(minor) + " " + std::to_string(value);
}

std::optional<std::int64_t> host_id(const Config& config, const std::vector<IdMap>& mappings) {
  if (!config.namespaces.contains("NEWUSER")) return 0;
  for (const IdMap& map : mappings) {
    if (map.container_id <= 0 && map.container_id + map.size > 0) return map.host_id - map.container_id;
  }
  return std::nullopt;
}

Device node(char32_t type, const char* path, std::int64_t major, std::int64_t minor, const char* permissions) {
  return {type, path, major, minor, permissions, 0666, 0, 0};
}
Device rule(char32_t type, const char* path, std::int64_t major, std::int64_t minor, const char* permissions) {
  return {type, path, major, minor, permissions, 0, 0, 0};
}

}  // namespace

const std::vector<std::string_view>& namespace_types() {
  static const std::vector<std::string_view> kAll = [] {
    std::vector<std::string_view> out;
    for (const TypeRow& row : kTypes) out.push_back(row.type);
    return out;
  }();
  return kAll;
}

std::string Namespace::path_of(int pid) const {
  if (!path.empty()) return path;
  const TypeRow* row = find_type(type);
  return row == nullptr ? std::string() : "/proc/" + std::to_string(pid) + "/ns/" + std::string(row->file);
}

const Namespace* Namespaces::find(std::string_view type) const {
  const auto found = std::ranges::find(entries_, type, &Namespace::type);
  return found == entries_.end() ? nullptr : &*found;
}

void Namespaces::add(std::string_view type, std::string_view path) {
  const auto found = std::ranges::find(entries_, type, &Namespace::type);
  if (found == entries_.end()) {
    entries_.push_back({std::string(type), std::string(path)});
  } else {
    found->path = path;
  }
}

bool Namespaces::remove(std::string_view type) {
  return std::erase_if(entries_, [&](const Namespace& entry) { return entry.type == type; }) != 0;
}

std::uint64_t Namespaces::clone_flags() const {
  std::uint64_t flags = 0;
  for (const Namespace& entry : entries_) {
    const TypeRow* row = find_type(entry.type);
    if (row != nullptr && entry.path.empty()) flags |= row->flag;
  }
  return flags;
}

std::string Device::cgroup_string() const {
  return std::string(1, static_cast<char>(type)) + " " + number_or_all(major) + ":" + number_or_all(minor) + " " +
         permissions;
}

std::uint64_t Device::mkdev() const {
  if (major < 0 || minor < 0) return 0;
  const auto high = static_cast<std::uint64_t>(major);
  const auto low = static_cast<std::uint64_t>(minor);
  return (high << 8) | (low & 0xff) | ((low & 0xfff00) << 12);
}

std::string IfPrioMap::cgroup_string() const {
  return interface_name + " " + std::to_string(priority);
}

std::string WeightDevice::weight_string() const {
  return keyed(major, minor, weight);
}

std::string WeightDevice::leaf_weight_string() const {
  return keyed(major, minor, leaf_weight);
}

std::string ThrottleDevice::string() const {
  return keyed(major, minor, rate);
}

std::optional<std::int64_t> Config::host_uid() const {
  return host_id(*this, uid_mappings);
}

std::optional<std::int64_t> Config::host_gid() const {
  return host_id(*this, gid_mappings);
}

std::vector<Device> simple_devices() {
  return {node('c', "/dev/null", 1, 3, "rwm"),    node('c', "/dev/zero", 1, 5, "rwm"),
          node('c', "/dev/full", 1, 7, "rwm"),    node('c', "/dev/tty", 5, 0, "rwm"),
          node('c', "/dev/urandom", 1, 9, "rwm"), node('c', "/dev/random", 1, 8, "rwm")};
}

std::vector<Device> allowed_devices() {
  std::vector<Device> out = {rule('c', "", kWildcard, kWildcard, "m"),
                             rule('b', "", kWildcard, kWildcard, "m"),
                             rule('c', "/dev/console", 5, 1, "rwm"),
                             rule('c', "/dev/tty0", 4, 0, "rwm"),
                             rule('c', "/dev/tty1", 4, 1, "rwm"),
                             rule('c', "", 136, kWildcard, "rwm"),
                             rule('c', "", 5, 2, "rwm"),
                             rule('c', "", 10, 200, "rwm")};
  for (Device& device : simple_devices()) out.push_back(std::move(device));
  return out;
}

std::vector<Device> auto_created_devices() {
  std::vector<Device> out = {node('c', "/dev/fuse", 10, 229, "rwm")};
  for (Device& device : simple_devices()) out.push_back(std::move(device));
  return out;
}

}  // namespace cooper::spec::libcontainer
