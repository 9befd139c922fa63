#include <sys/mount.h>

#include <algorithm>

#include "base/strings.h"
#include "convert/convert.h"
#include "convert/internal/seccomp.h"
#include "convert/internal/words.h"
#include "spec/libcontainer/print.h"
#include "spec/oci_runtime/id_maps.h"
#include "spec/oci_runtime/versions.h"
#include "sys/tables.h"

namespace cooper::convert {
namespace {

std::string at(std::string_view list, std::size_t index, std::string_view member = "") {
  return std::string(list) + "/" + std::to_string(index) + std::string(member);
}

class ToLibcontainer {
 public:
  ToLibcontainer(const oci::Config& source, const std::string& bundle, libcontainer::Generation generation)
      : source_(source), linux_(source.linux ? *source.linux : kNoLinux), bundle_(bundle) {
    out_.config.generation = generation;
  }

  LibcontainerResult convert() {
    libcontainer::Config& config = out_.config;
    root();
    config.version = source_.oci_version;
    config.hostname = source_.hostname;
    lose_if(!source_.domainname.empty(), "/domainname", "there is no domain name");
    lose_if(!source_.annotations.empty(), "/annotations", "there are no annotations");
    for (std::size_t i = 0; i < source_.mounts.size(); ++i) mount(i);
    if (source_.process) process(*source_.process);
    namespaces();
    devices();
    cgroup();
    rest();
    hooks();
    for (const auto& entry : libcontainer::unprintable(config, config.generation))
      lose(entry.pointer, entry.reason + " (of container.json)");
    return std::move(out_);
  }

 private:
  void lose(std::string pointer, std::string reason) {
    out_.lost.push_back({std::move(pointer), std::move(reason), false});
  }
  void lose_if(bool there, const char* pointer, const char* reason) {
    if (there) lose(pointer, reason);
  }
  void root();
  void mount(std::size_t index);
  void mount_option(const std::string& word, std::size_t index, libcontainer::Mount& out);
  void process(const oci::Process& process);
  void capabilities(const oci::Process& process);
  void oom_score(const oci::Process& process);
  void namespaces();
  void devices();
  void cgroup();
  void cgroup_path(libcontainer::Cgroup& out);
  void rest();
  void hooks();
  std::vector<libcontainer::CommandHook> hook_list(const std::vector<oci::Hook>& hooks, const char* pointer);

  inline static const oci::Linux kNoLinux;
  const oci::Config& source_;
  const oci::Linux& linux_;
  const std::string& bundle_;
  LibcontainerResult out_;
};

void ToLibcontainer::root() {
  if (!source_.root) return;
  const std::string& path = source_.root->path;
  out_.config.rootfs = path.starts_with("/") ? path : bundle_ + "/" + path;
  out_.config.readonlyfs = source_.root->readonly;
}

void ToLibcontainer::mount_option(const std::string& word, std::size_t index, libcontainer::Mount& out) {
  if (const std::uint64_t flag = flag_from_word(word); flag != 0) {
    out.flags |= static_cast<std::int64_t>(flag);
  } else if (const std::uint64_t undone = flag_undone_by_word(word); undone != 0) {
    out.flags &= ~static_cast<std::int64_t>(undone);
  } else if (const std::uint64_t propagation = propagation_flags(word); propagation != 0) {
    out.propagation_flags.push_back(static_cast<std::int64_t>(propagation));
  } else if (is_default_word(word)) {
    return;
  } else if (is_later_word(word)) {
    lose(at("/mounts", index, "/options"), "option '" + word + "' came later");
  } else {
    out.data += (out.data.empty() ? "" : ",") + word;
  }
}

void ToLibcontainer::mount(std::size_t index) {
  const oci::Mount& mount = source_.mounts[index];
  libcontainer::Mount& out = out_.config.mounts.emplace_back();
  out.destination = mount.destination;
  out.source = mount.source;
  for (const std::string& word : mount.options) mount_option(word, index, out);
  const bool bind = mount.type == "bind" || (out.flags & MS_BIND) != 0;
  if (bind) out.flags |= MS_BIND;
  out.device = bind ? "bind" : mount.type;
  if (bind && !mount.source.empty() && mount.source[0] != '/') out.source = bundle_ + "/" + mount.source;
  if (!mount.uid_mappings.empty()) lose(at("/mounts", index, "/uidMappings"), "mounts have no mappings");
  if (!mount.gid_mappings.empty()) lose(at("/mounts", index, "/gidMappings"), "mounts have no mappings");
}

void ToLibcontainer::capabilities(const oci::Process& process) {
  if (!process.capabilities) return;
  const oci::Capabilities& caps = *process.capabilities;
  for (const std::string& name : caps.bounding)
    out_.config.capabilities.push_back(name.starts_with("CAP_") ? name.substr(4) : name);
  for (const auto* set : {&caps.effective, &caps.permitted, &caps.inheritable}) {
    if (std::is_permutation(set->begin(), set->end(), caps.bounding.begin(), caps.bounding.end())) continue;
    lose("/process/capabilities", "there is one set for all: the bounding one is taken");
    break;
  }
  lose_if(!caps.ambient.empty(), "/process/capabilities/ambient", "ambient capabilities came later");
}

void ToLibcontainer::oom_score(const oci::Process& process) {
  out_.config.oom_score_adj = process.oom_score_adj.value_or(0);
  const bool named = out_.config.generation == libcontainer::Generation::kNamed;
  lose_if(named && !process.oom_score_adj, "/process/oomScoreAdj", "a container.json sets 0 where there is none");
  lose_if(!named && process.oom_score_adj == 0, "/process/oomScoreAdj", "the numeric generation has no such member");
}

void ToLibcontainer::process(const oci::Process& process) {
  lose("/process/args", "the program is no part of a container.json; it is given to whoever runs it");
  lose_if(!process.env.empty(), "/process/env", "the environment is no part of a container.json");
  lose_if(process.cwd != "/", "/process/cwd", "the working directory is no part of a container.json");
  lose_if(process.user.uid != 0 || process.user.gid != 0, "/process/user", "the user is no part of a container.json");
  lose_if(process.user.umask.has_value(), "/process/user/umask", "there is no umask");
  lose_if(process.terminal, "/process/terminal", "the terminal is no part of a container.json");
  lose_if(process.console_size.has_value(), "/process/consoleSize", "the terminal is no part of a container.json");
  for (const std::uint32_t gid : process.user.additional_gids)
    out_.config.additional_groups.push_back(std::to_string(gid));
  capabilities(process);
  for (std::size_t i = 0; i < process.rlimits.size(); ++i) {
    const oci::Rlimit& limit = process.rlimits[i];
    const auto number = sys::rlimit_from_name(limit.type);
    if (number) {
      out_.config.rlimits.push_back({*number, limit.hard, limit.soft});
    } else {
      lose(at("/process/rlimits", i), "'" + limit.type + "' is no resource limit");
    }
  }
  oom_score(process);
  out_.config.no_new_privileges = process.no_new_privileges;
  out_.config.apparmor_profile = process.apparmor_profile;
  out_.config.process_label = process.selinux_label;
  lose_if(process.scheduler.has_value(), "/process/scheduler", "there is no scheduler policy");
  lose_if(process.io_priority.has_value(), "/process/ioPriority", "there is no I/O priority");
  lose_if(process.exec_cpu_affinity.has_value(), "/process/execCPUAffinity", "there is no affinity");
}

std::vector<libcontainer::IdMap> maps(const std::vector<oci::IdMapping>& mappings) {
  std::vector<libcontainer::IdMap> out;
  for (const auto& map : mappings) out.push_back({map.container_id, map.host_id, map.size});
  return out;
}

void ToLibcontainer::namespaces() {
  for (std::size_t i = 0; i < linux_.namespaces.size(); ++i) {
    const oci::Namespace& entry = linux_.namespaces[i];
    const std::string_view type = libcontainer_namespace(entry.type);
    if (type.empty()) {
      lose(at("/linux/namespaces", i), "the " + entry.type + " namespace came later");
      continue;
    }
    out_.config.namespaces.add(type, entry.path);
    // Runtimes of the specification set it up in every network namespace they make.
    if (type == "NEWNET" && entry.path.empty()) {
      libcontainer::Network loopback;
      loopback.type = "loopback";
      out_.config.networks.push_back(std::move(loopback));
    }
  }
  if (oci::maps_ids(source_)) {
    out_.config.uid_mappings = maps(linux_.uid_mappings);
    out_.config.gid_mappings = maps(linux_.gid_mappings);
  } else {
    lose_if(!linux_.uid_mappings.empty(), "/linux/uidMappings", "they map nothing without a user namespace");
    lose_if(!linux_.gid_mappings.empty(), "/linux/gidMappings", "they map nothing without a user namespace");
  }
  lose_if(!linux_.time_offsets.empty(), "/linux/timeOffsets", "the time namespace came later");
}

void ToLibcontainer::devices() {
  for (const oci::Device& device : linux_.devices) {
    libcontainer::Device& out = out_.config.devices.emplace_back();
    out.type = device.type.empty() ? U'c' : static_cast<char32_t>(device.type[0]);
    out.path = device.path;
    out.major = device.major;
    out.minor = device.minor;
    out.permissions = "rwm";
    out.file_mode = device.file_mode.value_or(0666);
    out.uid = device.uid.value_or(0);
    out.gid = device.gid.value_or(0);
  }
  for (libcontainer::Device& usual : libcontainer::simple_devices()) {
    const auto& have = out_.config.devices;
    if (std::ranges::none_of(have, [&](const auto& device) { return device.path == usual.path; }))
      out_.config.devices.push_back(std::move(usual));
  }
}

void ToLibcontainer::cgroup_path(libcontainer::Cgroup& out) {
  const std::string& path = linux_.cgroups_path;
  if (!path.starts_with("/") && std::ranges::count(path, ':') == 2) {
    const auto parts = split(path, ':');
    out.slice = parts[0];
    out.parent = parts[1];
    out.name = parts[2];
    return;
  }
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) {
    out.name = path;
  } else {
    out.parent = path.substr(0, slash);
    out.name = path.substr(slash + 1);
  }
}

void ToLibcontainer::cgroup() {
  libcontainer::Cgroup& cgroup = out_.config.cgroups.emplace();
  cgroup_path(cgroup);
  read_resources(linux_.resources.value_or(oci::Resources{}), out_.config.generation, cgroup, out_.lost);
  if (linux_.resources && linux_.resources->pids_limit == 0 &&
      oci::holds(oci::Rule::kPidsLimitZeroIsALimit, source_.oci_version))
    lose("/linux/resources/pids/limit", "0 is no limit in a container.json, and here no process");
}

void ToLibcontainer::rest() {
  out_.config.root_propagation = static_cast<std::int64_t>(propagation_flags(linux_.rootfs_propagation));
  out_.config.mask_paths = linux_.masked_paths;
  out_.config.readonly_paths = linux_.readonly_paths;
  out_.config.sysctl = linux_.sysctl;
  out_.config.mount_label = linux_.mount_label;
  if (linux_.seccomp) out_.config.seccomp = libcontainer_seccomp(*linux_.seccomp, out_.config.generation, out_.lost);
  lose_if(linux_.personality.has_value(), "/linux/personality", "there is no personality");
  lose_if(linux_.intel_rdt.has_value(), "/linux/intelRdt", "it came later");
  lose_if(linux_.memory_policy.has_value(), "/linux/memoryPolicy", "it came later");
  lose_if(!linux_.net_devices.empty(), "/linux/netDevices", "devices of the host cannot be moved");
}

std::vector<libcontainer::CommandHook> ToLibcontainer::hook_list(const std::vector<oci::Hook>& hooks,
                                                                 const char* pointer) {
  std::vector<libcontainer::CommandHook> out;
  for (std::size_t i = 0; i < hooks.size(); ++i) {
    out.push_back({hooks[i].path, hooks[i].args, hooks[i].env, {}});
    if (hooks[i].timeout_s) lose(at(pointer, i, "/timeout"), "hooks have no time limit");
  }
  return out;
}

void ToLibcontainer::hooks() {
  const oci::Hooks& hooks = source_.hooks;
  libcontainer::Hooks out;
  out.prestart = hook_list(hooks.prestart, "/hooks/prestart");
  for (auto& hook : hook_list(hooks.create_runtime, "/hooks/createRuntime")) out.prestart.push_back(std::move(hook));
  lose_if(!hooks.create_runtime.empty(), "/hooks/createRuntime",
          "becomes prestart, after those that are: the same moment under its former name");
  out.poststart = hook_list(hooks.poststart, "/hooks/poststart");
  out.poststop = hook_list(hooks.poststop, "/hooks/poststop");
  lose_if(!hooks.create_container.empty(), "/hooks/createContainer", "there is no such moment");
  lose_if(!hooks.start_container.empty(), "/hooks/startContainer", "there is no such moment");
  if (out.empty()) return;
  lose("/hooks", "hooks read {version,id,pid,root} instead of the state document");
  out_.config.hooks = std::move(out);
}

}  // namespace

Result<LibcontainerResult> to_libcontainer(const oci::Config& source, const std::string& bundle,
                                           libcontainer::Generation generation) {
  return ToLibcontainer(source, bundle, generation).convert();
}

}  // namespace cooper::convert
