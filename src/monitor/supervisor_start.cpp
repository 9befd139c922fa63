// The monitor's first half: everything up to the running pod.
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/strings.h"
#include "log/steps.h"
#include "monitor/internal/pod_end.h"
#include "monitor/internal/supervisor.h"
#include "monitor/internal/wall_clock.h"
#include "monitor/process_setup.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/retry.h"
#include "sys/socket.h"
#include "sys/tables.h"

namespace cooper::monitor::internal {
namespace {

constexpr int kSettleMs = 30;  // a pod that ends sooner is not worth tidying up for
constexpr int kIdleCheckMs = 2000;
constexpr std::int64_t kUnreportedStopMs = 2000;

}  // namespace

Supervisor::Supervisor(PodSpec spec, Inheritance inheritance, Backend& backend)
    : spec_(std::move(spec)), inherited_(std::move(inheritance)), backend_(backend) {}

void Supervisor::run() {
  log::step("monitor", [&] {
    return log::Fields{{"pod", spec_.uuid},
                       {"pid", std::to_string(::getpid())},
                       {"guardian", std::to_string(inherited_.guardian)},
                       {"run_dir", spec_.run_dir}};
  });
  if (Status started = start(); !started.ok()) {
    fail(std::move(started).error());
    return;
  }
  report_started();
  // An error of epoll itself leaves nothing to do but to end the pod.
  if (!loop_->run().ok() && !ending_) {
    for (const auto& app : apps_) kill_app(*app);
    undo_apps("the monitor lost its event loop", Error(Errc::kInternal, "the monitor lost its event loop"));
  }
  finish();
}

Status Supervisor::start() {
  RETURN_IF_ERROR(open_services());
  RETURN_IF_ERROR(start_sandbox());
  RETURN_IF_ERROR(start_apps());
  // From here on the streams of the caller are none of ours: somebody may wait for their end.
  RETURN_IF_ERROR(null_stdio(StdError::kNull));
  ASSIGN_OR_RETURN(stop_signals_, stop_signal_fd());
  RETURN_IF_ERROR(watch_stop_signals());
  return {};
}

Status Supervisor::open_services() {
  ASSIGN_OR_RETURN(loop_, io::EventLoop::create());
  ASSIGN_OR_RETURN(scratch_, Scratch::create());
  // The listening socket first: a pod that cannot be reached must not start.
  ASSIGN_OR_RETURN(UniqueFd listener,
                   sys::unix_listen(spec_.run_dir + "/" + std::string(protocol::kSocketName), SOCK_SEQPACKET, 0600));
  protocol::Hello hello;
  hello.uuid = spec_.uuid;
  for (const AppSpec& app : spec_.apps) hello.apps.push_back(app.name);
  hub_.emplace(*loop_, *this, protocol::print(hello));
  for (AppSpec& app : spec_.apps) {
    apps_.push_back(std::make_unique<App>(std::move(app), static_cast<int>(apps_.size()), *loop_, *hub_, *scratch_));
    apps_.back()->on_active_ = [this] { watch_idle(); };
  }
  spec_.apps = {};
  for (const auto& app : apps_) RETURN_IF_ERROR(app->prepare(spec_.pod_dir));
  RETURN_IF_ERROR(hub_->listen(std::move(listener)));
  if (inherited_.first_client) {
    RETURN_IF_ERROR(
        hub_->adopt_first(std::move(inherited_.first_client), inherited_.first_app, inherited_.first_stdin));
  }
  watch_guardian();
  return {};
}

Status Supervisor::start_sandbox() {
  if (!spec_.sandbox) return {};
  AppSpec& sandbox = *spec_.sandbox;
  ASSIGN_OR_RETURN(const UniqueFd null, sys::openat(sys::kCwd, "/dev/null", O_RDWR));
  sandbox.create.stdio = {null.get(), null.get(), null.get()};
  sandbox.create.detach_start = false;
  sandbox.create.parent_death_signal = SIGKILL;
  BoardCell& cell = inherited_.board->sandbox;
  cell.phase = Phase::kCreating;
  auto created = backend_.create(sandbox.config, sandbox.create);
  if (!created.ok()) {
    cell.phase = Phase::kUntouched;
    return std::move(created).error().with("start the sandbox of the pod");
  }
  cell.pid = sandbox_pid_ = created->pid;
  cell.phase = Phase::kRunning;
  sandbox_pidfd_ = std::move(created->pidfd);
  return watch_sandbox();
}

// The sandbox's pid stays ours until we reap it, so its /proc directory cannot become somebody else's.
void Supervisor::resolve_namespaces(oci::Config& config) const {
  if (!config.linux || sandbox_pid_ == 0) return;
  for (oci::Namespace& ns : config.linux->namespaces) {
    if (ns.path != "pod:") continue;
    const sys::NamespaceInfo* info = sys::namespace_by_oci_name(ns.type);
    if (info != nullptr) ns.path = "/proc/" + std::to_string(sandbox_pid_) + "/ns/" + std::string(info->proc_name);
  }
}

// One app goes the direct way. Of several, none may run before all could be created.
Status Supervisor::start_apps() {
  const bool direct = apps_.size() == 1;
  // An app may fill the disk with its first breath.
  if (spec_.keeps_records) {
    for (const auto& app : apps_) reserve_exit_record(spec_.pod_dir, app->spec().name);
  }
  for (const auto& app : apps_) {
    Status created = create_app(*app, cell(*app), !direct);
    if (!created.ok()) {
      app->record_.error = created.error().message();
      return std::move(created).error().with("start app " + quoted(app->spec().name));
    }
  }
  if (direct) return {};
  for (const auto& app : apps_) {
    if (Status started = backend_.start(app->id()); !started.ok()) {
      app->record_.error = started.error().message();
      return std::move(started).error().with("start app " + quoted(app->spec().name));
    }
    cell(*app).phase = Phase::kRunning;
  }
  return {};
}

Status Supervisor::create_app(App& app, BoardCell& cell, bool detach_start) {
  AppSpec& spec = app.spec();
  resolve_namespaces(spec.config);
  spec.create.detach_start = detach_start;
  app.record_.started_unix_ms = wall_clock_ms();
  cell.started_unix_ms = app.record_.started_unix_ms;
  // One moment, whether it is read while the app runs or after its end.
  spec.create.created_unix_ms = app.record_.started_unix_ms;
  cell.phase = Phase::kCreating;
  auto created = backend_.create(spec.config, spec.create);
  if (!created.ok()) {
    cell.phase = Phase::kUntouched;
    return std::move(created).error();
  }
  cell.pid = created->pid;
  cell.phase = detach_start ? Phase::kCreated : Phase::kRunning;
  RETURN_IF_ERROR(app.adopt(*std::move(created)));
  return watch_exit(app);
}

// Without it nobody would see the app's end.
Status Supervisor::watch_exit(App& app) {
  return loop_->add(app.pidfd(), EPOLLIN, [this, &app](std::uint32_t) { on_app_exit(app); });
}

Status Supervisor::watch_sandbox() {
  return loop_->add(sandbox_pidfd_, EPOLLIN, [this](std::uint32_t) {
    loop_->remove(sandbox_pidfd_);
    (void)!sys::waitpid(sandbox_pid_).ok();
    sandbox_pid_ = 0;
    inherited_.board->sandbox.phase = Phase::kEnded;
    // Apps in its PID namespace were killed with it; the others cannot go on without the namespaces they were promised.
    if (!ending_) stop_pod(0, SIGKILL);
  });
}

// The pod goes on without its guardian; the next `pod gc` would have to repair what a killed monitor leaves.
void Supervisor::watch_guardian() {
  auto pidfd = sys::pidfd_open(inherited_.guardian);
  if (!pidfd.ok()) return;
  guardian_pidfd_ = *std::move(pidfd);
  (void)!loop_
      ->add(guardian_pidfd_, EPOLLIN,
            [this](std::uint32_t) {
              loop_->remove(guardian_pidfd_);
              guardian_pidfd_.reset();
              inherited_.guardian = 0;
            })
      .ok();
}

Status Supervisor::watch_stop_signals() {
  return loop_->add(stop_signals_, EPOLLIN, [this](std::uint32_t) {
    struct signalfd_siginfo info;
    while (sys::retry([&] { return ::read(stop_signals_.get(), &info, sizeof info); }) ==
           static_cast<ssize_t>(sizeof info)) {
    }
    stop_pod(spec_.stop_timeout_ms);
  });
}

void Supervisor::report_started() {
  Outcome outcome;
  outcome.guardian = inherited_.guardian;
  inherited_.board->reported = true;
  if (!sys::send_message(inherited_.sync, print_outcome(outcome)).ok()) {
    stop_pod(kUnreportedStopMs);
    inherited_.sync.reset();
  } else {
    watch_caller();
  }
  (void)loop_->add_timer(kSettleMs, [this] { settle(); });
}

// A caller that died before it knew that the pod runs cannot tell anybody its name: such a pod ends.
void Supervisor::watch_caller() {
  (void)!loop_
      ->add(inherited_.sync, EPOLLIN,
            [this](std::uint32_t) {
              auto message = sys::recv_message(inherited_.sync, 16);
              loop_->remove(inherited_.sync);
              inherited_.sync.reset();
              if (!message.ok() || message->eof) stop_pod(kUnreportedStopMs);
            })
      .ok();
}

void Supervisor::settle() {
  for (const auto& app : apps_) {
    app->forget_config();
    if (!app->ended_ && !spec_.keeps_records) reserve_exit_record(spec_.pod_dir, app->spec().name);
  }
  if (spec_.sandbox) spec_.sandbox->config = oci::Config();
  set_process_name("cooper-monitor", spec_.program);
  protect_from_oom_killer();
  trim_memory();
}

// Buffers are given back after two seconds without traffic; an idle monitor has no timer.
void Supervisor::watch_idle() {
  if (idle_timer_ || ending_) return;
  idle_timer_ = true;
  (void)loop_->add_timer(kIdleCheckMs, [this] {
    idle_timer_ = false;
    bool active = false;
    for (const auto& app : apps_) active = app->was_active() || active;
    if (active) {
      watch_idle();
      return;
    }
    for (const auto& app : apps_) app->release_memory();
    hub_->release_memory();
    scratch_->release_memory();
    trim_memory();
  });
}

}  // namespace cooper::monitor::internal
