#include "spec/oci_runtime/internal/read.h"

namespace cooper::spec::oci_runtime::internal {
namespace {

Status read_console_size(const Cursor& object, ConsoleSize& out) {
  RETURN_IF_ERROR(require(object, "height", out.height));
  return require(object, "width", out.width);
}

Status read_user(const Cursor& object, User& out) {
  RETURN_IF_ERROR(object.read("uid", out.uid));
  RETURN_IF_ERROR(object.read("gid", out.gid));
  RETURN_IF_ERROR(object.read("umask", out.umask));
  const auto gids = object.get("additionalGids");
  if (!gids) return {};
  return gids->for_each([&](const Cursor& element) -> Status {
    ASSIGN_OR_RETURN(const std::uint32_t gid, element.integer<std::uint32_t>());
    out.additional_gids.push_back(gid);
    return {};
  });
}

Status read_capabilities(const Cursor& object, Capabilities& out) {
  RETURN_IF_ERROR(read_texts(object, "bounding", out.bounding));
  RETURN_IF_ERROR(read_texts(object, "effective", out.effective));
  RETURN_IF_ERROR(read_texts(object, "inheritable", out.inheritable));
  RETURN_IF_ERROR(read_texts(object, "permitted", out.permitted));
  return read_texts(object, "ambient", out.ambient);
}

Status read_rlimit(const Cursor& object, Rlimit& out) {
  RETURN_IF_ERROR(require(object, "type", out.type));
  RETURN_IF_ERROR(require(object, "hard", out.hard));
  return require(object, "soft", out.soft);
}

Status read_scheduler(const Cursor& object, Scheduler& out) {
  RETURN_IF_ERROR(require(object, "policy", out.policy));
  RETURN_IF_ERROR(object.read("nice", out.nice));
  RETURN_IF_ERROR(object.read("priority", out.priority));
  RETURN_IF_ERROR(read_texts(object, "flags", out.flags));
  RETURN_IF_ERROR(object.read("runtime", out.runtime));
  RETURN_IF_ERROR(object.read("deadline", out.deadline));
  return object.read("period", out.period);
}

Status read_io_priority(const Cursor& object, IoPriority& out) {
  RETURN_IF_ERROR(require(object, "class", out.io_class));
  return object.read("priority", out.priority);
}

Status read_affinity(const Cursor& object, ExecCpuAffinity& out) {
  RETURN_IF_ERROR(object.read("initial", out.initial));
  return object.read("final", out.final_);
}

}  // namespace

Status read_process(const Cursor& object, Process& out) {
  RETURN_IF_ERROR(object.expect_object());
  RETURN_IF_ERROR(object.read("terminal", out.terminal));
  RETURN_IF_ERROR(read_part(object, "consoleSize", out.console_size, read_console_size));
  if (const auto user = object.get("user")) {
    RETURN_IF_ERROR(user->expect_object());
    RETURN_IF_ERROR(read_user(*user, out.user));
  }
  RETURN_IF_ERROR(read_texts(object, "args", out.args));
  RETURN_IF_ERROR(read_texts(object, "env", out.env));
  RETURN_IF_ERROR(require(object, "cwd", out.cwd));
  RETURN_IF_ERROR(read_part(object, "capabilities", out.capabilities, read_capabilities));
  RETURN_IF_ERROR(read_list(object, "rlimits", out.rlimits, read_rlimit));
  RETURN_IF_ERROR(object.read("noNewPrivileges", out.no_new_privileges));
  RETURN_IF_ERROR(object.read("apparmorProfile", out.apparmor_profile));
  RETURN_IF_ERROR(object.read("selinuxLabel", out.selinux_label));
  RETURN_IF_ERROR(object.read("oomScoreAdj", out.oom_score_adj));
  RETURN_IF_ERROR(read_part(object, "scheduler", out.scheduler, read_scheduler));
  RETURN_IF_ERROR(read_part(object, "ioPriority", out.io_priority, read_io_priority));
  return read_part(object, "execCPUAffinity", out.exec_cpu_affinity, read_affinity);
}

}  // namespace cooper::spec::oci_runtime::internal
