// Texts of the kernel's files and paths of configs, as arbitrary bytes.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "cgroup/cgroup.h"
#include "cgroup/internal/device_filter.h"
#include "cgroup/internal/files.h"
#include "cgroup/internal/settings.h"
#include "cgroup/systemd.h"
#include "cgroup/usage.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cooper::cgroup;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto layout = parse_layout(text);
  if (layout.ok()) {
    for (const Hierarchy& hierarchy : layout->hierarchies) {
      if (!hierarchy.v2 && hierarchy.controllers.empty()) std::abort();
      (void)directory_of(hierarchy.mount_point, hierarchy.mount_root, "/a/b");
    }
  }
  (void)parse_own_paths(text);
  // What is accepted stays as it is when normalized again, and cannot climb.
  if (const auto path = normalize_path(text); path.ok()) {
    const auto again = normalize_path(*path);
    if (!again.ok() || *again != *path || (*path + "/").find("/../") != std::string::npos) std::abort();
  }
  const Setting setting{.controller = "blkio", .file = "f", .value = "8:0 1", .key = "8:0", .reset = "8:0 0"};
  (void)undo_value(setting, text);
  (void)is_current(setting, text);
  (void)parse_pressure(text);
  if (parse_id_list(text).size() > 4096) std::abort();
  (void)parse_io_counters(text);
  (void)parse_rdma(text);
  (void)parse_device_list(text);
  (void)range_bits(text).ok();
  for (const auto bus : {cooper::dbus::Bus::kSystem, cooper::dbus::Bus::kUser}) {
    const auto name = parse_unit_name(text, "box", bus);
    if (name.ok() && (!name->path.starts_with('/') || (name->path + "/").find("/../") != std::string::npos))
      std::abort();
  }
  (void)annotation_properties({{"org.systemd.property.TimeoutStopSec", std::string(text)}}).ok();
  (void)annotation_properties({{"org.systemd.property." + std::string(text), "1"}}).ok();
  return 0;
}
