#include "spec/oci_runtime/print.h"

#include "spec/oci_runtime/internal/write.h"

namespace cooper::spec::oci_runtime {
namespace {

using codec::json::Writer;
using internal::list;
using internal::text;
using internal::texts;

Writer writer(Style style) {
  return Writer(style == Style::kPretty ? Writer::Style::kPretty : Writer::Style::kCompact);
}

void write_mount(Writer& out, const Mount& mount) {
  out.begin_object().field("destination", mount.destination);
  text(out, "type", mount.type);
  text(out, "source", mount.source);
  texts(out, "options", mount.options);
  list(out, "uidMappings", mount.uid_mappings, write_mapping);
  list(out, "gidMappings", mount.gid_mappings, write_mapping);
  out.end_object();
}

void write_hook(Writer& out, const Hook& hook) {
  out.begin_object().field("path", hook.path);
  texts(out, "args", hook.args);
  texts(out, "env", hook.env);
  out.optional_field("timeout", hook.timeout_s);
  out.end_object();
}

void write_hooks(Writer& out, const Hooks& hooks) {
  const bool any = !hooks.prestart.empty() || !hooks.create_runtime.empty() || !hooks.create_container.empty() ||
                   !hooks.start_container.empty() || !hooks.poststart.empty() || !hooks.poststop.empty();
  if (!any) return;
  out.key("hooks").begin_object();
  list(out, "prestart", hooks.prestart, write_hook);
  list(out, "createRuntime", hooks.create_runtime, write_hook);
  list(out, "createContainer", hooks.create_container, write_hook);
  list(out, "startContainer", hooks.start_container, write_hook);
  list(out, "poststart", hooks.poststart, write_hook);
  list(out, "poststop", hooks.poststop, write_hook);
  out.end_object();
}

void write_rlimit(Writer& out, const Rlimit& limit) {
  out.begin_object().field("type", limit.type).field("hard", limit.hard).field("soft", limit.soft).end_object();
}

void write_user(Writer& out, const User& user) {
  out.key("user").begin_object().field("uid", user.uid).field("gid", user.gid);
  out.optional_field("umask", user.umask);
  if (!user.additional_gids.empty()) {
    out.key("additionalGids").begin_array();
    for (const std::uint32_t gid : user.additional_gids) out.number(std::uint64_t{gid});
    out.end_array();
  }
  out.end_object();
}

void write_scheduler(Writer& out, const Scheduler& scheduler) {
  out.key("scheduler").begin_object().field("policy", scheduler.policy);
  if (scheduler.nice != 0) out.field("nice", scheduler.nice);
  if (scheduler.priority != 0) out.field("priority", scheduler.priority);
  texts(out, "flags", scheduler.flags);
  if (scheduler.runtime != 0) out.field("runtime", scheduler.runtime);
  if (scheduler.deadline != 0) out.field("deadline", scheduler.deadline);
  if (scheduler.period != 0) out.field("period", scheduler.period);
  out.end_object();
}

}  // namespace

void write_mapping(Writer& out, const IdMapping& mapping) {
  out.begin_object()
      .field("containerID", mapping.container_id)
      .field("hostID", mapping.host_id)
      .field("size", mapping.size);
  out.end_object();
}

void write_process(Writer& out, const Process& process) {
  out.begin_object();
  if (process.terminal) out.field("terminal", true);
  if (process.console_size) {
    out.key("consoleSize").begin_object();
    out.field("height", process.console_size->height).field("width", process.console_size->width).end_object();
  }
  write_user(out, process.user);
  texts(out, "args", process.args);
  texts(out, "env", process.env);
  out.field("cwd", process.cwd);
  if (process.capabilities) {
    out.key("capabilities").begin_object();
    texts(out, "bounding", process.capabilities->bounding);
    texts(out, "effective", process.capabilities->effective);
    texts(out, "inheritable", process.capabilities->inheritable);
    texts(out, "permitted", process.capabilities->permitted);
    texts(out, "ambient", process.capabilities->ambient);
    out.end_object();
  }
  list(out, "rlimits", process.rlimits, write_rlimit);
  if (process.no_new_privileges) out.field("noNewPrivileges", true);
  text(out, "apparmorProfile", process.apparmor_profile);
  out.optional_field("oomScoreAdj", process.oom_score_adj);
  text(out, "selinuxLabel", process.selinux_label);
  if (process.scheduler) write_scheduler(out, *process.scheduler);
  if (process.io_priority) {
    out.key("ioPriority").begin_object().field("class", process.io_priority->io_class);
    out.field("priority", process.io_priority->priority).end_object();
  }
  if (process.exec_cpu_affinity) {
    out.key("execCPUAffinity").begin_object();
    text(out, "initial", process.exec_cpu_affinity->initial);
    text(out, "final", process.exec_cpu_affinity->final_);
    out.end_object();
  }
  out.end_object();
}

std::string print_config(const Config& config, Style style) {
  Writer out = writer(style);
  out.begin_object().field("ociVersion", config.oci_version);
  if (config.process) {
    out.key("process");
    write_process(out, *config.process);
  }
  if (config.root) {
    out.key("root").begin_object().field("path", config.root->path);
    if (config.root->readonly) out.field("readonly", true);
    out.end_object();
  }
  text(out, "hostname", config.hostname);
  text(out, "domainname", config.domainname);
  list(out, "mounts", config.mounts, write_mount);
  write_hooks(out, config.hooks);
  internal::map(out, "annotations", config.annotations);
  if (config.linux) {
    out.key("linux");
    internal::write_linux(out, *config.linux);
  }
  return out.end_object().take();
}

std::string print_process(const Process& process, Style style) {
  Writer out = writer(style);
  write_process(out, process);
  return out.take();
}

std::string print_resources(const Resources& resources, Style style) {
  Writer out = writer(style);
  write_resources(out, resources);
  return out.take();
}

void write_state(Writer& out, const State& state) {
  out.begin_object().field("ociVersion", state.oci_version).field("id", state.id).field("status", state.status);
  if (state.pid != 0) out.field("pid", state.pid);
  out.field("bundle", state.bundle);
  internal::map(out, "annotations", state.annotations);
  out.end_object();
}

std::string print_state(const State& state, Style style) {
  Writer out = writer(style);
  write_state(out, state);
  return out.take();
}

}  // namespace cooper::spec::oci_runtime
