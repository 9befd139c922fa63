#include "monitor/internal/launch_with.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "base/ids.h"
#include "base/strings.h"
#include "log/steps.h"
#include "monitor/internal/board.h"
#include "monitor/internal/guardian.h"
#include "monitor/internal/supervisor.h"
#include "monitor/internal/sync.h"
#include "monitor/process_setup.h"
#include "sys/cred.h"
#include "sys/process.h"
#include "sys/retry.h"
#include "sys/socket.h"

namespace cooper::monitor::internal {
namespace {

// Everything the processes to be forked need, made before the first fork.
struct Plumbing {
  sys::SocketPair sync;    // first: the caller's end
  sys::SocketPair client;  // first: the caller's end; invalid without attach
  Board* board = nullptr;
  int first_app = kNoApp;
};

Result<int> find_attached(const PodSpec& spec, const LaunchOptions& options) {
  if (options.attach_app.empty() && spec.apps.size() == 1) return 0;
  for (std::size_t i = 0; i < spec.apps.size(); ++i) {
    if (spec.apps[i].name == options.attach_app) return static_cast<int>(i);
  }
  return Error(Errc::kInvalidArgument, "the pod has no app " + quoted(options.attach_app) + " to attach to");
}

Status check(const PodSpec& spec) {
  if (spec.apps.empty()) return Error(Errc::kInvalidArgument, "a pod needs at least one app");
  if (spec.apps.size() > kMaxApps) {
    return Error(Errc::kLimit,
                 "a pod has at most " + std::to_string(kMaxApps) + " apps, not " + std::to_string(spec.apps.size()));
  }
  std::set<std::string> names;
  for (const AppSpec& app : spec.apps) {
    // The name becomes the file name of the exit record.
    RETURN_IF_ERROR(AppName::parse(app.name).ok()
                        ? Status()
                        : Status(Error(Errc::kInvalidArgument, "invalid app name " + quoted(app.name))));
    if (!names.insert(app.name).second) return Error(Errc::kInvalidArgument, "two apps are named " + quoted(app.name));
  }
  if (!spec.pod_dir) return Error(Errc::kInvalidArgument, "no pod directory");
  ASSIGN_OR_RETURN(const int threads, sys::thread_count());
  if (threads != 1) return Error(Errc::kInternal, "pods are launched by single-threaded programs only");
  return {};
}

Result<Plumbing> make_plumbing(PodSpec& spec, const LaunchOptions& options) {
  Plumbing out;
  if (options.attach) {
    ASSIGN_OR_RETURN(out.first_app, find_attached(spec, options));
    AppSpec& app = spec.apps[static_cast<std::size_t>(out.first_app)];
    if (app.terminal && app.config.process && options.console_size)
      app.config.process->console_size = options.console_size;
    ASSIGN_OR_RETURN(out.client, sys::socketpair(SOCK_SEQPACKET));
  }
  ASSIGN_OR_RETURN(out.sync, sys::socketpair(SOCK_SEQPACKET));
  ASSIGN_OR_RETURN(out.board, make_board());
  for (UniqueFd* fd :
       {&out.client.first, &out.client.second, &out.sync.first, &out.sync.second, &spec.pod_dir, &spec.lock}) {
    RETURN_IF_ERROR(move_above_stdio(*fd));
  }
  return out;
}

// What monitor and guardian do alike, first thing. The caller's other descriptors are closed: a lock or a pipe of its
// own would be held for as long as the pod runs.
Status become_service(const PodSpec& spec, const Plumbing& plumbing, bool is_monitor) {
  if (is_monitor) reset_signals();
  // It may be a file descriptor of the caller, whose number will soon mean something else.
  log::forget_file();
  std::vector<int> keep = {spec.pod_dir.get(), spec.lock.get(), plumbing.sync.second.get()};
  if (is_monitor) keep.push_back(plumbing.client.second.get());
  RETURN_IF_ERROR(close_all_but(std::move(keep)));
  // Warnings of the start may still reach the caller's standard error; the guardian has nothing to say.
  RETURN_IF_ERROR(null_stdio(is_monitor ? StdError::kKeep : StdError::kNull));
  prepare_allocator();
  return {};
}

[[noreturn]] void report_and_exit(const Plumbing& plumbing, Error error) {
  Outcome outcome;
  outcome.error = std::move(error).with("set up the pod's monitor");
  (void)!sys::send_message(plumbing.sync.second, print_outcome(outcome)).ok();
  ::_exit(1);
}

[[noreturn]] void run_monitor(PodSpec spec, Plumbing plumbing, const LaunchOptions& options, pid_t guardian,
                              Backend& backend) {
  if (Status ready = become_service(spec, plumbing, true); !ready.ok())
    report_and_exit(plumbing, std::move(ready).error());
  Inheritance inheritance;
  inheritance.sync = std::move(plumbing.sync.second);
  inheritance.first_client = std::move(plumbing.client.second);
  inheritance.first_app = plumbing.first_app;
  inheritance.first_stdin = options.attach_stdin;
  inheritance.board = plumbing.board;
  inheritance.guardian = guardian;
  (void)plumbing.sync.first.release();  // closed above
  (void)plumbing.client.first.release();
  Supervisor(std::move(spec), std::move(inheritance), backend).run();
  ::_exit(0);
}

[[noreturn]] void run_guardian(PodSpec spec, Plumbing plumbing, const LaunchOptions& options, Backend& backend) {
  // An ignored SIGCHLD, say, would hide the monitor's end from us; and nothing but SIGKILL shall end the guardian.
  reset_signals();
  block_all_signals();
  (void)::setsid();
  (void)::umask(0022);
  if (::chdir("/") != 0) report_and_exit(plumbing, Error::from_errno(errno, "change to '/'"));
  if (Status s = sys::set_child_subreaper(true); !s.ok()) report_and_exit(plumbing, std::move(s).error());
  const pid_t self = ::getpid();
  const pid_t monitor = ::fork();
  if (monitor == 0) run_monitor(std::move(spec), std::move(plumbing), options, self, backend);
  if (monitor < 0) report_and_exit(plumbing, Error::from_errno(errno, "fork the monitor"));
  // From here on the guardian has to see the pod's end, whatever fails.
  (void)!become_service(spec, plumbing, false).ok();
  (void)plumbing.sync.first.release();
  (void)plumbing.client.first.release();
  (void)plumbing.client.second.release();
  guard(std::move(spec), monitor, *plumbing.board, std::move(plumbing.sync.second), backend);
  ::_exit(0);
}

// Detached: a child in between, so that the guardian belongs to init and the caller has nothing to reap.
Result<pid_t> fork_guardian(PodSpec& spec, Plumbing& plumbing, const LaunchOptions& options, Backend& backend) {
  const pid_t child = ::fork();
  if (child < 0) return Error::from_errno(errno, "fork the pod's guardian");
  if (child == 0) {
    if (!options.attach) {
      const pid_t guardian = ::fork();
      if (guardian < 0) report_and_exit(plumbing, Error::from_errno(errno, "fork the pod's guardian"));
      if (guardian > 0) ::_exit(0);
    }
    run_guardian(std::move(spec), std::move(plumbing), options, backend);
  }
  if (!options.attach) {
    (void)!sys::waitpid(child).ok();
    return pid_t{0};
  }
  return child;
}

Result<Outcome> await_outcome(BorrowedFd sync) {
  ASSIGN_OR_RETURN(const sys::Message message, sys::recv_message(sync, kMaxOutcome));
  if (message.eof)
    return Error(Errc::kInternal, "the pod's monitor and guardian were killed before the pod was started");
  return parse_outcome(message.data);
}

}  // namespace

Result<Launched> launch_with(PodSpec spec, const LaunchOptions& options, Backend& backend) {
  RETURN_IF_ERROR(check(spec));
  ASSIGN_OR_RETURN(Plumbing plumbing, make_plumbing(spec, options));
  ASSIGN_OR_RETURN(const pid_t child, fork_guardian(spec, plumbing, options, backend));
  plumbing.sync.second.reset();
  plumbing.client.second.reset();
  // Our share of the lock goes with `spec` on return; until then nobody else can think that the pod has ended.
  auto outcome = await_outcome(plumbing.sync.first);
  if (outcome.ok() && !outcome->error) {
    // The monitor ends a pod whose caller died before it took the message.
    (void)!sys::send_message(plumbing.sync.first, "+").ok();
    Launched out;
    out.guardian = child != 0 ? child : outcome->guardian;
    out.client = std::move(plumbing.client.first);
    return out;
  }
  plumbing.sync.first.reset();
  plumbing.client.first.reset();
  if (child != 0) (void)!sys::waitpid(child).ok();
  if (!outcome.ok()) return std::move(outcome).error();
  return *std::move(outcome->error);
}

}  // namespace cooper::monitor::internal
