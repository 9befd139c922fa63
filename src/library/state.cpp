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

}  // namespace

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
