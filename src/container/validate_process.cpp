#include <algorithm>
#include <array>
#include <set>

#include "base/strings.h"
#include "container/number_list.h"
#include "container/plan.h"
#include "container/validate_rules.h"
#include "sys/tables.h"

namespace cooper::container {
namespace {

// A member of the process, and how messages name it.
class Member {
 public:
  Member(const PlanOptions& options, std::string path) : options_(options), path_(std::move(path)) {}
  Member operator/(std::string_view name) const { return {options_, path_ + "/" + std::string(name)}; }
  Member operator/(std::size_t index) const { return *this / std::to_string(index); }
  Error fail(std::string_view message, Errc code = Errc::kInvalidArgument) const {
    return rules::fail(options_.name_process_member ? options_.name_process_member(path_) : "/process" + path_, message,
                       code);
  }

 private:
  const PlanOptions& options_;
  std::string path_;
};

constexpr std::array<std::string_view, 7> kPolicies{"SCHED_OTHER", "SCHED_BATCH", "SCHED_ISO",     "SCHED_IDLE",
                                                    "SCHED_FIFO",  "SCHED_RR",    "SCHED_DEADLINE"};
constexpr std::array<std::string_view, 7> kSchedFlags{
    "SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM",        "SCHED_FLAG_DL_OVERRUN",    "SCHED_FLAG_KEEP_POLICY",
    "SCHED_FLAG_KEEP_PARAMS",   "SCHED_FLAG_UTIL_CLAMP_MIN", "SCHED_FLAG_UTIL_CLAMP_MAX"};

Status check_scheduler(const oci::Scheduler& scheduler, const Member& at) {
  if (std::find(kPolicies.begin(), kPolicies.end(), scheduler.policy) == kPolicies.end()) {
    return (at / "policy").fail("unknown scheduling policy " + quoted(scheduler.policy));
  }
  if (scheduler.nice < -20 || scheduler.nice > 19) return (at / "nice").fail("must be between -20 and 19");
  const bool realtime = scheduler.policy == "SCHED_FIFO" || scheduler.policy == "SCHED_RR";
  if (scheduler.priority != 0 && !realtime) return (at / "priority").fail("is for SCHED_FIFO and SCHED_RR only");
  if (realtime && (scheduler.priority < 1 || scheduler.priority > 99))
    return (at / "priority").fail("must be between 1 and 99");
  const bool deadline = scheduler.policy == "SCHED_DEADLINE";
  if (!deadline && (scheduler.runtime != 0 || scheduler.deadline != 0 || scheduler.period != 0)) {
    return at.fail("runtime, deadline and period are for SCHED_DEADLINE only");
  }
  if (deadline && scheduler.runtime == 0) return (at / "runtime").fail("SCHED_DEADLINE needs a runtime");
  for (std::size_t i = 0; i < scheduler.flags.size(); ++i) {
    if (std::find(kSchedFlags.begin(), kSchedFlags.end(), scheduler.flags[i]) == kSchedFlags.end()) {
      return (at / "flags" / i).fail("unknown scheduling flag " + quoted(scheduler.flags[i]));
    }
  }
  return {};
}

Status check_rlimits(const std::vector<oci::Rlimit>& limits, const Member& at) {
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i < limits.size(); ++i) {
    const oci::Rlimit& limit = limits[i];
    if (!sys::rlimit_from_name(limit.type))
      return (at / i / "type").fail("unknown resource limit " + quoted(limit.type));
    if (!seen.insert(limit.type).second)
      return (at / i / "type").fail("resource limit " + quoted(limit.type) + " is given twice");
    if (limit.soft > limit.hard) return (at / i / "soft").fail("must not be greater than the hard limit");
  }
  return {};
}

// "/proc/self/fd/7" and the like: a descriptor is not a place in the container (CVE-2024-21626). Links to such places
// are the executor's.
bool is_descriptor_path(const std::string& path) {
  const std::string clean = rules::clean_path(path);
  const auto parts = split(clean, '/');
  return parts.size() >= 4 && parts[1] == "proc" &&
         (parts[3] == "fd" || parts[3] == "map_files" || parts[3] == "cwd" || parts[3] == "root");
}

Status check_program(const oci::Process& process, const Member& at) {
  if (process.args.empty()) return (at / "args").fail("must name the program to run");
  if (process.cwd.empty() || process.cwd[0] != '/')
    return (at / "cwd").fail(quoted(process.cwd) + " must be an absolute path");
  if (is_descriptor_path(process.cwd))
    return (at / "cwd").fail(quoted(process.cwd) + " is not a directory of the container");
  for (std::size_t i = 0; i < process.env.size(); ++i) {
    const std::size_t equals = process.env[i].find('=');
    if (equals == std::string::npos || equals == 0) {
      return (at / "env" / i).fail(quoted(process.env[i]) + " must have the form NAME=VALUE");
    }
  }
  return {};
}

Status check_ids(const oci::User& user, const Member& at) {
  constexpr std::uint32_t kNoId = 0xffffffffU;  // means "unchanged" to the kernel
  if (user.uid == kNoId) return (at / "uid").fail("4294967295 is not a user id");
  if (user.gid == kNoId) return (at / "gid").fail("4294967295 is not a group id");
  for (std::size_t i = 0; i < user.additional_gids.size(); ++i) {
    if (user.additional_gids[i] == kNoId) return (at / "additionalGids" / i).fail("4294967295 is not a group id");
  }
  if (user.umask && *user.umask > 0777) return (at / "umask").fail("must be between 0 and 511 (0777)");
  return {};
}

Status check_io_priority(const oci::IoPriority& io, const Member& at) {
  if (io.io_class != "IOPRIO_CLASS_RT" && io.io_class != "IOPRIO_CLASS_BE" && io.io_class != "IOPRIO_CLASS_IDLE") {
    return (at / "class").fail("unknown i/o priority class " + quoted(io.io_class));
  }
  if (io.priority < 0 || io.priority > 7) return (at / "priority").fail("must be between 0 and 7");
  return {};
}

Status check_affinity(const oci::ExecCpuAffinity& affinity, const Member& at) {
  if (!parse_number_list(affinity.initial))
    return (at / "initial").fail(quoted(affinity.initial) + " is not a list of processors such as 0-3,5");
  if (!parse_number_list(affinity.final_))
    return (at / "final").fail(quoted(affinity.final_) + " is not a list of processors such as 0-3,5");
  return {};
}

bool apparmor_wanted(const std::string& profile) {
  return !profile.empty() && profile != "unconfined";
}

}  // namespace

Status validate_process(const oci::Process& process, const PlanOptions& options) {
  const Member at(options, {});
  RETURN_IF_ERROR(check_program(process, at));
  RETURN_IF_ERROR(check_ids(process.user, at / "user"));
  RETURN_IF_ERROR(check_rlimits(process.rlimits, at / "rlimits"));
  if (process.oom_score_adj && (*process.oom_score_adj < -1000 || *process.oom_score_adj > 1000)) {
    return (at / "oomScoreAdj").fail("must be between -1000 and 1000");
  }
  if (process.scheduler) RETURN_IF_ERROR(check_scheduler(*process.scheduler, at / "scheduler"));
  if (process.exec_cpu_affinity) RETURN_IF_ERROR(check_affinity(*process.exec_cpu_affinity, at / "execCPUAffinity"));
  if (process.io_priority) RETURN_IF_ERROR(check_io_priority(*process.io_priority, at / "ioPriority"));
  if (process.console_size && (process.console_size->height > 0xffff || process.console_size->width > 0xffff)) {
    return (at / "consoleSize").fail("height and width must be at most 65535");
  }
  if (apparmor_wanted(process.apparmor_profile) && !options.apparmor_enabled) {
    return (at / "apparmorProfile")
        .fail(
            "profile " + quoted(process.apparmor_profile) + " cannot be applied: AppArmor is not enabled on this host",
            Errc::kUnsupported);
  }
  return {};
}

}  // namespace cooper::container
