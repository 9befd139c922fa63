// A further process in a running container: make_process_plan(), and what gets it there.
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "base/strings.h"
#include "container/container.h"
#include "container/core_scheduling.h"
#include "container/executor.h"
#include "container/internal.h"
#include "container/lsm.h"
#include "container/number_list.h"
#include "container/state.h"
#include "container/unit.h"
#include "sys/cred.h"
#include "sys/file.h"
#include "sys/tables.h"

namespace cooper::container {
namespace {

// Type and inode of /proc/PID/ns/NAME: which of the init's namespaces are not our own.
Result<int> foreign_namespaces(pid_t pid) {
  ASSIGN_OR_RETURN(const UniqueFd own, sys::openat(sys::kCwd, "/proc/self/ns", O_PATH | O_DIRECTORY));
  ASSIGN_OR_RETURN(const UniqueFd init,
                   sys::openat(sys::kCwd, "/proc/" + std::to_string(pid) + "/ns", O_PATH | O_DIRECTORY));
  int flags = 0;
  for (const sys::NamespaceInfo& info : sys::namespaces()) {
    const std::string name(info.proc_name);
    auto ours = sys::fstatat(own, name, 0);
    if (!ours.ok() && ours.error().errno_value() == ENOENT) continue;  // this kernel has no such kind
    if (!ours.ok()) return std::move(ours).error();
    // A namespace that is not joined because of a failed look would be the host's.
    ASSIGN_OR_RETURN(const auto theirs, sys::fstatat(init, name, 0));
    if (theirs.st_ino != ours->st_ino || theirs.st_dev != ours->st_dev) flags |= info.clone_flag;
  }
  return flags;
}

SetAffinity set_affinity(const char* when, const std::string& text) {
  return {when, text, parse_number_list(text).value_or(std::vector<std::uint32_t>())};
}

Result<Plan> exec_plan(const StateRecord& record, oci::Config config, const ExecOptions& options,
                       const FactoryOptions& factory, pid_t init, int namespaces) {
  config.process = options.process;
  PlanOptions plan_options;
  plan_options.id = record.id;
  plan_options.bundle = record.bundle;
  plan_options.rootless = factory.rootless;
  plan_options.sets_groups = factory.rootless && may_set_groups();
  plan_options.no_new_keyring = record.no_new_keyring;
  plan_options.detach_start = false;
  plan_options.name_process_member = options.name_process_member;
  plan_options.kernel_last_cap = sys::last_cap();
  plan_options.own_capabilities = sys::permitted_caps().value_or(plan_options.own_capabilities);
  probe_modules(config, plan_options);
  ASSIGN_OR_RETURN(Plan process, make_process_plan(config, plan_options));
  Plan out;
  out.id = std::move(process.id);
  out.warnings = std::move(process.warnings);
  const std::string init_namespaces = "/proc/" + std::to_string(init) + "/ns/";
  // Without privileges outside, the other namespaces may be joined only from inside the container's user namespace.
  const bool user_first = (namespaces & CLONE_NEWUSER) != 0 && ::geteuid() != 0;
  if ((namespaces & CLONE_NEWPID) != 0 && !user_first)
    out.steps.push_back({Actor::kParent, JoinPidNamespace{init_namespaces + "pid"}});
  const oci::ExecCpuAffinity affinity = options.process.exec_cpu_affinity.value_or(oci::ExecCpuAffinity{});
  // Born into its cgroup, a process could not have an affinity before.
  out.steps.push_back({Actor::kParent, Clone{0, affinity.initial.empty()}});
  if (config.linux && config.linux->intel_rdt) out.steps.push_back({Actor::kParent, ResctrlJoin{}});
  if (!affinity.initial.empty()) out.steps.push_back({Actor::kChild, set_affinity("initial", affinity.initial)});
  out.steps.push_back({Actor::kChild, CgroupJoin{}});
  if (!affinity.final_.empty()) out.steps.push_back({Actor::kChild, set_affinity("final", affinity.final_)});
  // Through the host's /proc: the container's may be anything by now (CVE-2025-52881).
  if (options.process.oom_score_adj)
    out.steps.push_back({Actor::kChild, SetOomScoreAdj{*options.process.oom_score_adj}});
  if (user_first) {
    out.steps.push_back({Actor::kChild, JoinNamespace{"user", init_namespaces + "user"}});
    namespaces &= ~CLONE_NEWUSER;
  }
  out.steps.push_back({Actor::kChild, EnterContainer{namespaces & ~CLONE_NEWPID}});
  if (config.annotations.contains(kCoreSchedulingAnnotation)) {
    const bool born_inside = std::holds_alternative<JoinPidNamespace>(out.steps.front().body);
    ASSIGN_OR_RETURN(const pid_t seen, born_inside ? innermost_pid(init) : Result<pid_t>(init));
    out.steps.push_back({Actor::kChild, SetCoreScheduling{seen}});
  }
  std::ranges::move(process.steps, std::back_inserter(out.steps));
  out.steps.push_back({Actor::kParent, WaitForChild{"prepared"}});
  return out;
}

// An init that is exiting has given up its root before it can be waited for, which may take long: it waits for every
// process of its PID namespace.
bool has_root(pid_t pid) {
  const auto root = sys::fstatat(sys::kCwd, "/proc/" + std::to_string(pid) + "/root", 0);
  return root.ok() || (root.error().errno_value() != ENOENT && root.error().errno_value() != ESRCH);
}

// What fails while the container ends says nothing about the process: a clone into a dead PID namespace is ENOMEM.
Error stopped(const StateRecord& record) {
  return Error(Errc::kWrongState,
               "cannot exec in a stopped container: container " + quoted(record.id) + " is not running");
}

Error exec_error(Error error, BorrowedFd init, const StateRecord& record) {
  // Its processes are killed before the init has ended.
  const bool may_be_its_end = error.errno_value() == ENOMEM || error.code() == Errc::kSystem;
  if (has_root(record.pid)) {
    const auto ended = sys::pidfd_wait(init, may_be_its_end ? 100 : 0);
    if (!ended.ok() || !*ended) return error;
  }
  return stopped(record);
}

}  // namespace

Result<RunStatus> Container::check_exec(bool ignore_paused) const {
  ASSIGN_OR_RETURN(const RunStatus now, status());
  if (now == RunStatus::kStopped) return stopped(record_);
  if (now == RunStatus::kCreating)
    return Error(Errc::kWrongState, "cannot exec in container " + quoted(record_.id) + " while it is being created");
  if (now == RunStatus::kPaused && !ignore_paused) {
    return Error(Errc::kWrongState, "cannot exec in a paused container: " + quoted(record_.id))
        .with_hint("resume it, or use --ignore-paused");
  }
  return now;
}

Result<Created> Container::exec(const ExecOptions& options) {
  RETURN_IF_ERROR(check_preserved_fds(options.preserve_fds));
  ASSIGN_OR_RETURN(const RunStatus now, check_exec(options.ignore_paused));
  auto pidfd = init_pidfd();
  if (!pidfd.ok()) return pidfd.error().code() == Errc::kNotFound ? stopped(record_) : std::move(pidfd).error();
  const UniqueFd init = std::move(*pidfd);
  auto namespaces = foreign_namespaces(record_.pid);
  if (!namespaces.ok()) return exec_error(std::move(namespaces).error(), init, record_);
  auto root = sys::openat(sys::kCwd, "/proc/" + std::to_string(record_.pid) + "/root", O_PATH | O_DIRECTORY);
  if (!root.ok()) return exec_error(std::move(root).error(), init, record_);
  ASSIGN_OR_RETURN(oci::Config spec, config());
  ASSIGN_OR_RETURN(const Plan plan, exec_plan(record_, std::move(spec), options, options_, record_.pid, *namespaces));

  Executor::Inputs inputs;
  inputs.plan = &plan;
  inputs.stdio = options.stdio;
  inputs.preserve_fds = options.preserve_fds;
  inputs.extra_fds = options.extra_fds;
  inputs.console_socket = options.console_socket;
  inputs.state = oci_state(now);
  inputs.rootless = options_.rootless;
  inputs.exec_pidfd = init.get();
  inputs.exec_root = root->get();
  inputs.join_cgroup = record_.cgroup_path;
  inputs.resctrl = record_.resctrl;
  inputs.sub_cgroups = options.sub_cgroups;
  if (options.sub_cgroups.empty()) inputs.join_cgroup_of = record_.pid;
  inputs.join_unit = record_.systemd_unit;
  inputs.join_bus = bus_of(record_);
  if (!options.pidfd_socket.empty() || !options.pid_file.empty()) {
    inputs.on_prepared = [&](pid_t pid, const std::string&) -> Status {
      if (!options.pidfd_socket.empty()) RETURN_IF_ERROR(send_pidfd(options.pidfd_socket, pid));
      return options.pid_file.empty() ? Status() : write_pid_file(options.pid_file, pid);
    };
  }
  Executor executor(std::move(inputs));
  if (Status done = executor.run(); !done.ok()) {
    if (!options.pid_file.empty()) (void)::unlink(options.pid_file.c_str());
    return exec_error(std::move(done).error(), init, record_);
  }
  Created created;
  created.pid = executor.pid();
  created.pidfd = executor.take_pidfd();
  created.console = executor.take_console();
  return created;
}

}  // namespace cooper::container
