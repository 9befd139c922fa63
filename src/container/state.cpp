#include "container/state.h"

#include <time.h>

#include <array>
#include <chrono>
#include <cstdio>

#include "base/strings.h"
#include "codec/json.h"
#include "io/file.h"

namespace cooper::container {
namespace {

constexpr int kStateVersion = 1;

Status read_interface(const codec::json::Cursor& entry, StateRecord::HostInterface& out) {
  RETURN_IF_ERROR(entry.expect_object());
  RETURN_IF_ERROR(entry.read("name", out.name));
  return entry.read("index", out.index);
}

}  // namespace

std::string_view to_string(RunStatus status) {
  switch (status) {
    case RunStatus::kCreating:
      return "creating";
    case RunStatus::kCreated:
      return "created";
    case RunStatus::kRunning:
      return "running";
    case RunStatus::kPaused:
      return "paused";
    case RunStatus::kStopped:
      return "stopped";
  }
  return "stopped";
}

StatePaths state_paths(const std::string& root, std::string_view id) {
  return {root, std::string(id)};
}

std::string print_state_record(const StateRecord& record) {
  codec::json::Writer w;
  w.begin_object().field("version", kStateVersion).field("id", record.id).field("pid", std::int64_t{record.pid});
  w.field("startTime", record.start_time)
      .field("bootId", record.boot_id)
      .field("bundle", record.bundle)
      .field("rootfs", record.rootfs);
  w.field("created", record.created).field("ownerUid", record.owner_uid).field("cgroupPath", record.cgroup_path);
  w.field("ociVersion", record.oci_version).field("systemdCgroup", record.systemd_cgroup);
  if (record.systemd_cgroup) w.field("systemdUnit", record.systemd_unit).field("systemdUser", record.systemd_user);
  w.field("sharedPidNamespace", record.shared_pid_namespace).field("hasTerminal", record.has_terminal);
  w.field("poststopHooks", record.poststop_hooks);
  if (record.no_new_keyring) w.field("noNewKeyring", true);
  if (record.sandbox) w.field("sandbox", true);
  w.field("exeDev", record.exe_dev).field("exeIno", record.exe_ino);
  if (!record.resctrl.class_path.empty()) {
    const ResctrlGroups& groups = record.resctrl;
    w.key("resctrl").begin_object().field("class", groups.class_path).field("monitor", groups.monitor_path);
    w.field("madeClass", groups.made_class).field("madeMonitor", groups.made_monitor).end_object();
  }
  if (record.mounts.shared) {
    w.key("sharedMounts").begin_object().field("path", record.mounts.path).field("before", record.mounts.before);
    w.field("namespace", record.mounts.space).field("id", record.mounts.id).field("inode", record.mounts.inode);
    w.end_object();
  }
  w.key("annotations").begin_object();
  for (const auto& [key, value] : record.annotations) w.field(key, value);
  w.end_object();
  if (!record.interfaces.empty()) {
    w.key("interfaces").begin_array();
    for (const auto& link : record.interfaces)
      w.begin_object().field("name", link.name).field("index", link.index).end_object();
    w.end_array();
  }
  w.end_object();
  return w.take();
}

Result<StateRecord> parse_state_record(std::string text, std::string_view what) {
  ASSIGN_OR_RETURN(const auto document, codec::json::Document::parse(std::move(text), what));
  const codec::json::Cursor root(document.root(), what);
  RETURN_IF_ERROR(root.expect_object());
  int version = 0;
  RETURN_IF_ERROR(root.read("version", version));
  if (version != kStateVersion) {
    return Error(Errc::kUnsupported,
                 std::string(what) + ": state format " + std::to_string(version) + " is not supported by this build");
  }
  StateRecord out;
  RETURN_IF_ERROR(root.read("id", out.id));
  RETURN_IF_ERROR(root.read("pid", out.pid));
  RETURN_IF_ERROR(root.read("startTime", out.start_time));
  RETURN_IF_ERROR(root.read("bootId", out.boot_id));
  RETURN_IF_ERROR(root.read("bundle", out.bundle));
  RETURN_IF_ERROR(root.read("rootfs", out.rootfs));
  RETURN_IF_ERROR(root.read("created", out.created));
  RETURN_IF_ERROR(root.read("ownerUid", out.owner_uid));
  RETURN_IF_ERROR(root.read("cgroupPath", out.cgroup_path));
  RETURN_IF_ERROR(root.read("ociVersion", out.oci_version));
  RETURN_IF_ERROR(root.read("systemdCgroup", out.systemd_cgroup));
  RETURN_IF_ERROR(root.read("systemdUnit", out.systemd_unit));
  RETURN_IF_ERROR(root.read("systemdUser", out.systemd_user));
  RETURN_IF_ERROR(root.read("sharedPidNamespace", out.shared_pid_namespace));
  RETURN_IF_ERROR(root.read("hasTerminal", out.has_terminal));
  RETURN_IF_ERROR(root.read("poststopHooks", out.poststop_hooks));
  RETURN_IF_ERROR(root.read("noNewKeyring", out.no_new_keyring));
  RETURN_IF_ERROR(root.read("sandbox", out.sandbox));
  RETURN_IF_ERROR(root.read("exeDev", out.exe_dev));
  RETURN_IF_ERROR(root.read("exeIno", out.exe_ino));
  if (const auto mounts = root.get("sharedMounts")) {
    RETURN_IF_ERROR(mounts->expect_object());
    out.mounts.shared = true;
    out.mounts.rootfs = out.rootfs;
    RETURN_IF_ERROR(mounts->read("path", out.mounts.path));
    RETURN_IF_ERROR(mounts->read("before", out.mounts.before));
    RETURN_IF_ERROR(mounts->read("namespace", out.mounts.space));
    RETURN_IF_ERROR(mounts->read("id", out.mounts.id));
    RETURN_IF_ERROR(mounts->read("inode", out.mounts.inode));
  }
  if (const auto resctrl = root.get("resctrl")) {
    RETURN_IF_ERROR(resctrl->expect_object());
    RETURN_IF_ERROR(resctrl->read("class", out.resctrl.class_path));
    RETURN_IF_ERROR(resctrl->read("monitor", out.resctrl.monitor_path));
    RETURN_IF_ERROR(resctrl->read("madeClass", out.resctrl.made_class));
    RETURN_IF_ERROR(resctrl->read("madeMonitor", out.resctrl.made_monitor));
  }
  if (const auto interfaces = root.get("interfaces")) {
    RETURN_IF_ERROR(interfaces->for_each(
        [&](const codec::json::Cursor& entry) { return read_interface(entry, out.interfaces.emplace_back()); }));
  }
  if (const auto annotations = root.get("annotations")) {
    RETURN_IF_ERROR(annotations->for_each_member([&](std::string_view key, const codec::json::Cursor& value) -> Status {
      ASSIGN_OR_RETURN(out.annotations[std::string(key)], value.string());
      return {};
    }));
  }
  return out;
}

Result<std::string> boot_id() {
  static std::string known;  // it outlives every process
  if (!known.empty()) return known;
  ASSIGN_OR_RETURN(const std::string text, io::read_file("/proc/sys/kernel/random/boot_id", 128));
  known = trim(text);
  return known;
}

namespace {

std::string print_time(const struct timespec& now) {
  // Not gmtime_r(3), which reads the files of the local time zone first.
  const std::chrono::sys_seconds seconds{std::chrono::seconds(now.tv_sec)};
  const auto day = std::chrono::floor<std::chrono::days>(seconds);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(seconds - day);
  std::array<char, 64> buffer{};
  (void)std::snprintf(buffer.data(), buffer.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%09ldZ",
                      static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                      static_cast<unsigned>(date.day()), static_cast<int>(time.hours().count()),
                      static_cast<int>(time.minutes().count()), static_cast<int>(time.seconds().count()), now.tv_nsec);
  return buffer.data();
}

}  // namespace

std::string timestamp_now() {
  struct timespec now = {};
  (void)::clock_gettime(CLOCK_REALTIME, &now);
  return print_time(now);
}

std::string timestamp_of(std::int64_t unix_ms) {
  return print_time({unix_ms / 1000, (unix_ms % 1000) * 1'000'000});
}

}  // namespace cooper::container
