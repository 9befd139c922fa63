#include "container/criu_parts.h"

#include <sched.h>

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "codec/json.h"
#include "container/validate_rules.h"
#include "sys/file.h"

namespace cooper::container {
namespace {

Error cannot_be_restored(std::string_view member, std::string_view why) {
  return Error(Errc::kUnsupported, "its configuration has " + std::string(member) + ", " + std::string(why));
}

// nullptr: CRIU restores what the step has done.
const char* lost_member(const StepBody& body) {
  if (std::holds_alternative<SetLandlock>(body)) return "Landlock rules";
  if (std::holds_alternative<SetCoreScheduling>(body)) return "core scheduling";
  if (std::holds_alternative<SetMemoryPolicy>(body)) return "linux.memoryPolicy";
  if (std::holds_alternative<SetIoPriority>(body)) return "process.ioPriority";
  if (std::holds_alternative<MoveNetDevices>(body)) return "linux.netDevices";
  if (std::holds_alternative<CreateInterfaces>(body)) return "network interfaces";
  if (const auto* mount = std::get_if<Mount>(&body); mount != nullptr && mount->idmap) return "a mapped mount";
  if (const auto* filter = std::get_if<LoadSeccomp>(&body);
      filter != nullptr && filter->profile && !filter->profile->listener_path.empty())
    return "linux.seccomp.listenerPath";
  return nullptr;
}

const Mount* cgroup_mount(const Plan& plan) {
  for (const Step& step : plan.steps) {
    const auto* mount = std::get_if<Mount>(&step.body);
    if (mount != nullptr && !mount->remount && (mount->kind == MountKind::kCgroup || mount->fstype == "cgroup2"))
      return mount;
  }
  return nullptr;
}

Status read_stream(std::string_view number, const codec::json::Cursor& value, CheckpointNotes& out) {
  const auto fd = parse_number<int>(number);
  if (!fd || *fd < 0 || *fd > 2) return value.error("there is no such standard stream");
  ASSIGN_OR_RETURN(out.streams[*fd], value.string());
  return {};
}

Status read_below(const codec::json::Cursor& entry, CheckpointNotes& out) {
  RETURN_IF_ERROR(entry.expect_object());
  std::string name;
  RETURN_IF_ERROR(entry.read("name", name));
  auto& [mount, path] = out.below[name];
  RETURN_IF_ERROR(entry.read("mount", mount));
  return entry.read("path", path);
}

}  // namespace

Status check_restorable(const oci::Config& config, const Plan& plan) {
  const oci::Namespace* mounts = rules::find_namespace(config, "mount");
  if (mounts == nullptr || !mounts->path.empty())
    return Error(Errc::kUnsupported, "it has no mount namespace of its own, without which CRIU cannot tell its mounts");
  if (const oci::Namespace* group = rules::find_namespace(config, "cgroup"); group != nullptr && !group->path.empty())
    return cannot_be_restored("a joined cgroup namespace", "which CRIU cannot join");
  for (const Step& step : plan.steps) {
    if (const char* member = lost_member(step.body); member != nullptr)
      return cannot_be_restored(member, "which CRIU does not restore");
  }
  return {};
}

std::vector<HostMount> host_mounts(const Plan& plan) {
  std::vector<HostMount> out;
  for (const Step& step : plan.steps) {
    if (const auto* mount = std::get_if<Mount>(&step.body);
        mount != nullptr && mount->kind == MountKind::kBind && !mount->remount)
      out.push_back({rules::clean_path(mount->destination), mount->source, mount->recursive});
    if (const auto* device = std::get_if<CreateDevice>(&step.body); device != nullptr && device->bind)
      out.push_back({rules::clean_path(device->path), device->path, false});
  }
  return out;
}

std::vector<HostMount> cgroup_binds(const oci::Config& config, const Plan& plan, const cgroup::Layout& layout,
                                    const std::string& cgroup_path) {
  const Mount* mount = cgroup_mount(plan);
  if (mount == nullptr || rules::find_namespace(config, "cgroup") != nullptr) return {};
  const std::string destination = rules::clean_path(mount->destination);
  std::vector<HostMount> out;
  for (const cgroup::Hierarchy& hierarchy : layout.hierarchies) {
    const std::string source = hierarchy.directory(cgroup_path);
    if (layout.mode == cgroup::Mode::kV2) {
      out.push_back({destination, source, false});
    } else if (!hierarchy.v2) {
      const std::string name = hierarchy.mount_point.substr(hierarchy.mount_point.rfind('/') + 1);
      out.push_back({destination + "/" + name, source, false});
    }
  }
  return out;
}

std::string print_notes(const CheckpointNotes& notes) {
  codec::json::Writer w(codec::json::Writer::Style::kPretty);
  w.begin_object().field("version", 1).key("streams").begin_object();
  for (const auto& [number, name] : notes.streams) w.field(std::to_string(number), name);
  w.end_object().key("below").begin_array();
  for (const auto& [name, where] : notes.below)
    w.begin_object().field("name", name).field("mount", where.first).field("path", where.second).end_object();
  w.end_array().end_object();
  return w.take() + "\n";
}

Result<CheckpointNotes> parse_notes(std::string text, std::string_view what) {
  ASSIGN_OR_RETURN(const auto document, codec::json::Document::parse(std::move(text), what));
  const codec::json::Cursor root(document.root(), what);
  RETURN_IF_ERROR(root.expect_object());
  int version = 0;
  RETURN_IF_ERROR(root.read("version", version));
  if (version != 1)
    return Error(Errc::kUnsupported,
                 std::string(what) + ": format " + std::to_string(version) + " is not supported by this build");
  CheckpointNotes out;
  if (const auto streams = root.get("streams")) {
    RETURN_IF_ERROR(streams->for_each_member(
        [&](std::string_view number, const codec::json::Cursor& value) { return read_stream(number, value, out); }));
  }
  if (const auto below = root.get("below")) {
    RETURN_IF_ERROR(below->for_each([&](const codec::json::Cursor& entry) { return read_below(entry, out); }));
  }
  return out;
}

std::string print_descriptors(const std::vector<std::string>& links) {
  codec::json::Writer w;
  w.begin_array();
  for (const std::string& link : links) w.string(link);
  return w.end_array().take();
}

Result<std::vector<std::string>> parse_descriptors(std::string text, std::string_view what) {
  ASSIGN_OR_RETURN(const auto document, codec::json::Document::parse(std::move(text), what));
  return codec::json::Cursor(document.root(), what).strings();
}

std::vector<criu::InheritedFd> inherited_streams(const std::vector<std::string>& links, const CheckpointNotes& notes) {
  std::vector<criu::InheritedFd> out;
  for (int fd = 0; fd <= 2; ++fd) {
    const auto index = static_cast<std::size_t>(fd);
    if (const auto outside = notes.streams.find(fd); outside != notes.streams.end()) {
      out.push_back({outside->second, fd});
    } else if (index < links.size() && links[index].starts_with("pipe:")) {
      out.push_back({links[index], fd});
    }
  }
  return out;
}

std::vector<criu::ExternalMount> restored_mounts(const std::vector<HostMount>& mounts, const CheckpointNotes& notes,
                                                 bool masked) {
  std::vector<criu::ExternalMount> out;
  for (const HostMount& mount : mounts) out.push_back({mount.destination, mount.source});
  for (const auto& [name, where] : notes.below) {
    const auto above = std::ranges::find(mounts, where.first, &HostMount::destination);
    if (above != mounts.end()) out.push_back({name, above->source + where.second});
  }
  if (masked) out.push_back({std::string(kMaskedName), std::string(kMaskedName)});
  return out;
}

criu::Options common_options(const CriuOptions& options) {
  criu::Options out;
  out.tcp_established = options.tcp_established;
  out.external_unix_sockets = options.external_unix_sockets;
  out.shell_job = options.shell_job;
  out.file_locks = options.file_locks;
  out.lazy_pages = options.lazy_pages;
  out.auto_dedup = options.auto_dedup;
  out.empty_namespaces = options.empty_network ? CLONE_NEWNET : 0;
  out.cgroup_mode = options.cgroup_mode;
  out.notify = true;
  out.orphan_pts_master = true;
  return out;
}

std::string_view advice_for(std::string_view log) {
  // CRIU's word for the option, in "consider using --..." and the like; then what no option helps against.
  static constexpr std::array kAdvice = std::to_array<std::pair<std::string_view, std::string_view>>({
      {"file-locks", "try --file-locks"},
      {"link-remap", "try --link-remap"},
      {"tcp-established", "try --tcp-established"},
      {"skip-in-flight", "try --tcp-skip-in-flight"},
      {"ext-unix-sk", "try --ext-unix-sk"},
      {"shell-job", "try --shell-job"},
      {"without peer",
       "a unix socket is connected to one that CRIU does not see, such as one of another network namespace"},
      {"half of stream unix", "of unix sockets whose other end is outside, CRIU saves datagram sockets only"},
  });
  for (const std::string_view line : split(log, '\n')) {
    if (line.find("Error (") == std::string_view::npos) continue;
    for (const auto& [word, advice] : kAdvice) {
      if (line.find(word) != std::string_view::npos) return advice;
    }
  }
  return {};
}

std::string criu_config_file(const oci::Config& config, std::string_view system_file) {
  if (const auto named = config.annotations.find("org.criu.config"); named != config.annotations.end())
    return named->second;
  const std::string file(system_file);
  return sys::fstatat(sys::kCwd, file, 0).ok() ? file : std::string();
}

}  // namespace cooper::container
