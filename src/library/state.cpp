// The state document: what a program of another making needs to join the container.
#include <fcntl.h>

#include "codec/json.h"
#include "library/library.h"
#include "spec/libcontainer/print.h"
#include "sys/file.h"

namespace cooper::library {
namespace {

void write_cgroup_paths(codec::json::Writer& out, const std::string& path) {
  out.key("cgroup_paths").begin_object();
  if (const auto layout = cgroup::probe_layout(); layout.ok() && !path.empty()) {
    if (const auto group = cgroup::Group::open(*layout, path); group.ok()) {
      for (const auto& [controller, directory] : group->directories()) {
        if (controller.starts_with("name=")) continue;
        out.field(controller.empty() ? "unified" : controller, directory);
      }
    }
  }
  out.end_object();
}

void write_descriptors(codec::json::Writer& out, pid_t pid) {
  out.key("external_descriptors").begin_array();
  for (int fd = 0; fd < 3 && pid != 0; ++fd) {
    const auto target = sys::readlinkat(sys::kCwd, "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(fd));
    out.string(target.ok() ? *target : std::string());
  }
  out.end_array();
}

void write_interfaces(codec::json::Writer& out, const std::vector<InterfaceStats>& interfaces) {
  out.key("interfaces").begin_array();
  for (const auto& entry : interfaces) {
    out.begin_object().field("name", entry.name);
    out.field("rx_bytes", entry.rx_bytes).field("rx_packets", entry.rx_packets);
    out.field("rx_errors", entry.rx_errors).field("rx_dropped", entry.rx_dropped);
    out.field("tx_bytes", entry.tx_bytes).field("tx_packets", entry.tx_packets);
    out.field("tx_errors", entry.tx_errors).field("tx_dropped", entry.tx_dropped).end_object();
  }
  out.end_array();
}

void write_cgroup(codec::json::Writer& out, const cgroup::Stats& stats) {
  out.key("cgroup_stats").begin_object();
  out.key("cpu_stats").begin_object().key("cpu_usage").begin_object();
  out.field("total_usage", stats.cpu_usage_ns).field("usage_in_usermode", stats.cpu_user_ns);
  out.field("usage_in_kernelmode", stats.cpu_system_ns).end_object();
  out.key("throttling_data").begin_object().field("periods", stats.cpu_periods);
  out.field("throttled_periods", stats.cpu_throttled_periods).field("throttled_time", stats.cpu_throttled_ns);
  out.end_object().end_object();
  out.key("memory_stats").begin_object().field("cache", stats.memory_cache_bytes);
  out.key("usage").begin_object().field("usage", stats.memory_usage_bytes);
  out.field("max_usage", stats.memory_max_usage_bytes).field("failcnt", stats.memory_fail_count);
  out.field("limit", stats.memory_limit_bytes).end_object();
  out.field("swap_usage", stats.memory_swap_bytes).field("oom_kills", stats.oom_kills);
  out.key("stats").begin_object();
  for (const auto& [name, value] : stats.memory_raw) out.field(name, value);
  out.end_object().end_object();
  out.key("pids_stats")
      .begin_object()
      .field("current", stats.pids_current)
      .field("limit", stats.pids_limit)
      .end_object();
  out.key("blkio_stats").begin_object().key("io_service_bytes_recursive").begin_array();
  out.begin_object().field("op", "Read").field("value", stats.io_read_bytes).end_object();
  out.begin_object().field("op", "Write").field("value", stats.io_write_bytes).end_object();
  out.end_array().end_object().end_object();
}

}  // namespace

std::string stats_json(const Stats& stats) {
  codec::json::Writer out(codec::json::Writer::Style::kPretty);
  out.begin_object();
  write_interfaces(out, stats.interfaces);
  write_cgroup(out, stats.cgroup);
  return out.end_object().take() + "\n";
}

Result<std::string> Container::state_json() const {
  codec::json::Writer out(codec::json::Writer::Style::kPretty);
  const auto init = running();
  const pid_t pid = init.ok() ? init->record().pid : 0;
  out.begin_object().field("id", id_).field("init_process_pid", pid);
  out.field("init_process_start", init.ok() ? std::to_string(init->record().start_time) : std::string());
  write_cgroup_paths(out, init.ok() ? init->record().cgroup_path : std::string());
  out.key("namespace_paths").begin_object();
  for (const std::string_view type : libcontainer::namespace_types()) {
    if (pid != 0) out.field(type, libcontainer::Namespace{std::string(type), {}}.path_of(pid));
  }
  out.end_object();
  out.key("config");
  libcontainer::Config now = config_;
  if (const auto state = status(); pid != 0 && state.ok()) {
    if (!now.cgroups) now.cgroups.emplace();
    now.cgroups->freezer =
        *state == ContainerStatus::kPaused ? libcontainer::FreezerState::kFrozen : libcontainer::FreezerState::kThawed;
  }
  libcontainer::write_config(out, now);
  write_descriptors(out, pid);
  return out.end_object().take() + "\n";
}

}  // namespace cooper::library
