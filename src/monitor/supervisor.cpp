// The monitor's second half: exits, requests, and the end of the pod.
#include "monitor/internal/supervisor.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>

#include "base/strings.h"
#include "monitor/internal/pod_end.h"
#include "monitor/internal/wall_clock.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace cooper::monitor::internal {
BoardCell& Supervisor::cell(const App& app) {
  const auto found = std::ranges::find_if(apps_, [&](const auto& other) { return other.get() == &app; });
  return inherited_.board->apps[found - apps_.begin()];
}

// ---- exits

void Supervisor::on_app_exit(App& app) {
  if (!app.running()) return;
  auto status = sys::try_waitpid(app.pid());
  if (status.ok() && !status->has_value()) return;
  loop_->remove(app.pidfd());
  if (app.in_post_stop_) {
    note_post_stop(app, status);
  } else {
    note_end(app, status);
  }
  app.mark_reaped();
  // The kernel ends everything in a PID namespace with its first process. Elsewhere children may live on: they end with
  // the app.
  if (!app.own_pid_namespace_) (void)!backend_.kill_all(app.id()).ok();
  if (app.kill_timer_ != 0) loop_->cancel_timer(std::exchange(app.kill_timer_, 0));
  app.drain([this, &app] { app.in_post_stop_ ? conclude_app(app) : finish_app(app); });
}

void Supervisor::note_end(App& app, const Result<std::optional<sys::ExitStatus>>& status) {
  ExitRecord& record = app.record_;
  record.finished_unix_ms = wall_clock_ms();
  if (status.ok()) {
    record.exit_code = (*status)->shell_code();
    record.signal = (*status)->signal;
    record.core_dumped = (*status)->core_dumped;
  } else {
    record.exit_code = 255;
    record.error = status.error().message();
  }
  BoardCell& shared = cell(app);
  shared.finished_unix_ms = record.finished_unix_ms;
  shared.exit_code = record.exit_code;
  shared.signal = record.signal;
  shared.core_dumped = record.core_dumped;
  shared.phase = Phase::kEnded;
}

void Supervisor::finish_app(App& app) {
  if (app.record_.exit_code != 0) app.record_.oom_killed = backend_.oom_killed(app.id());
  if (!start_post_stop(app)) conclude_app(app);
}

void Supervisor::conclude_app(App& app) {
  record_app(app);
  hub_->app_exited(static_cast<int>(&cell(app) - inherited_.board->apps), app.exit_json_);
  const bool all_ended = std::ranges::all_of(apps_, [](const auto& other) { return other->ended_; });
  if (all_ended) {
    ending_ = true;
    loop_->stop();
  } else if (spec_.policy == PodPolicy::kFirstExit) {
    stop_pod(spec_.stop_timeout_ms);
  }
}

void Supervisor::record_app(App& app) {
  app.ended_ = true;
  std::string text = print_exit_record(app.record_);
  if (write_exit_record(spec_.pod_dir, app.record_).ok()) cell(app).recorded = true;
  if (text.size() > protocol::kMaxPayload) {
    ExitRecord shorter = app.record_;
    shorter.error.resize(std::min<std::size_t>(shorter.error.size(), 1024));
    text = print_exit_record(shorter);
  }
  app.exit_json_ = std::move(text);
}

// ---- stop

void Supervisor::kill_app(App& app) {
  if (!app.running()) return;
  (void)!sys::pidfd_send_signal(app.pidfd(), SIGKILL).ok();
  (void)!backend_.kill_all(app.id()).ok();
}

void Supervisor::stop_app(App& app, int signal, std::int64_t timeout_ms) {
  if (!app.running()) return;
  if (signal == SIGKILL || timeout_ms == 0) {
    kill_app(app);
    return;
  }
  if (app.in_post_stop_) {
    hurry_post_stop(app, timeout_ms);
    return;
  }
  (void)!sys::pidfd_send_signal(app.pidfd(), signal != 0 ? signal : app.spec().stop_signal).ok();
  if (app.kill_timer_ != 0) loop_->cancel_timer(app.kill_timer_);
  app.kill_timer_ = loop_->add_timer(timeout_ms, [this, &app] {
    app.kill_timer_ = 0;
    kill_app(app);
  });
}

void Supervisor::stop_pod(std::int64_t timeout_ms, int signal) {
  stopping_ = true;
  asked_stop_ms_ = timeout_ms;
  for (const auto& app : apps_) {
    // A stop that is under way keeps its deadline unless the new one is sooner.
    const bool under_way = app->kill_timer_ != 0 && timeout_ms >= spec_.stop_timeout_ms;
    if (!under_way) stop_app(*app, signal, timeout_ms);
  }
}

// ---- requests

Result<int> Supervisor::find_app(std::string_view name) {
  if (name.empty() && apps_.size() == 1) return 0;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < apps_.size(); ++i) {
    const std::string& other = apps_[i]->spec().name;
    if (!name.empty() && other == name) return static_cast<int>(i);
    names.push_back(other);
  }
  if (name.empty())
    return Error(Errc::kInvalidArgument, "the pod has several apps").with_hint("name one of: " + join(names, ", "));
  return Error(Errc::kNotFound, "the pod has no app " + quoted(name)).with_hint("its apps are: " + join(names, ", "));
}

Result<std::string> Supervisor::exit_json(int app) {
  if (!at(app).ended_) return Error(Errc::kWrongState, "the app still runs");
  return at(app).exit_json_;
}

Status Supervisor::stop(int app, const protocol::AppRequest& request) {
  const std::int64_t timeout_ms = request.timeout_ms < 0 ? spec_.stop_timeout_ms : request.timeout_ms;
  if (app == kNoApp) {
    stop_pod(timeout_ms, request.signal);
    return {};
  }
  if (!at(app).running()) return Error(Errc::kWrongState, "app " + quoted(at(app).spec().name) + " is not running");
  stop_app(at(app), request.signal, timeout_ms);
  return {};
}

Status Supervisor::kill(int app, int signal) {
  App& target = at(app);
  if (!target.running()) return Error(Errc::kWrongState, "app " + quoted(target.spec().name) + " is not running");
  if (signal == SIGKILL) {
    kill_app(target);
    return {};
  }
  return sys::pidfd_send_signal(target.pidfd(), signal);
}

Status Supervisor::reopen_logs() {
  Status first;
  for (const auto& app : apps_) {
    Status reopened = app->reopen_log();
    if (!reopened.ok() && first.ok())
      first = std::move(reopened).error().with("reopen the log of app " + quoted(app->spec().name));
  }
  return first;
}

protocol::PodStatus Supervisor::status() {
  protocol::PodStatus out;
  out.uuid = spec_.uuid;
  out.monitor_pid = ::getpid();
  out.guardian_pid = inherited_.guardian;
  out.stopping = stopping_;
  for (const auto& app : apps_) {
    protocol::AppStatus& entry = out.apps.emplace_back();
    entry.name = app->spec().name;
    entry.state = app->running() ? "running" : "exited";
    entry.pid = app->pid();
    entry.terminal = app->terminal();
    entry.started_unix_ms = app->record_.started_unix_ms;
    entry.log_lost_bytes = app->log_lost_bytes();
    if (app->ended_) entry.exit = app->record_;
  }
  return out;
}

// ---- the end

// The start failed: everything that was made goes, and the caller learns why.
void Supervisor::fail(Error error) {
  ending_ = true;
  undo_apps("not started: " + error.message(), error);
  Outcome outcome;
  outcome.guardian = inherited_.guardian;
  outcome.error = std::move(error);
  finish();
  inherited_.board->reported = true;
  (void)!sys::send_message(inherited_.sync, print_outcome(outcome)).ok();
}

void Supervisor::undo_apps(const std::string& why, const Error& error) {
  for (const auto& app : apps_) {
    if (app->ended_) continue;
    ExitRecord& record = app->record_;
    const bool had_started = apps_.size() > 1 && cell(*app).phase == Phase::kRunning;
    if (app->running()) {
      (void)!sys::pidfd_send_signal(app->pidfd(), SIGKILL).ok();
      (void)!backend_.kill_all(app->id()).ok();
      (void)!sys::waitpid(app->pid()).ok();
      app->mark_reaped();
      cell(*app).phase = Phase::kEnded;
    }
    // Of several apps the one that failed has its own error; the others never ran, or were killed for it.
    if (app->in_post_stop_) {
      record_app(*app);
      continue;
    }
    if (!record.error.empty()) {
      record.exit_code = start_failure_code(error);
    } else if (had_started) {
      record.exit_code = 128 + SIGKILL;
      record.signal = SIGKILL;
      record.error = "killed: " + error.message();
    } else {
      record.exit_code = kNotStartedCode;
      record.error = why;
      record.started_unix_ms = 0;
    }
    record.finished_unix_ms = wall_clock_ms();
    record_app(*app);
  }
  // Before open_services() came that far there are no App objects yet.
  for (const AppSpec& app : spec_.apps) {
    ExitRecord record;
    record.app = app.name;
    record.error = why;
    record.exit_code = start_failure_code(error);
    record.finished_unix_ms = wall_clock_ms();
    (void)!write_exit_record(spec_.pod_dir, record).ok();
  }
}

void Supervisor::end_sandbox() {
  if (!spec_.sandbox || sandbox_pid_ == 0) return;
  loop_->remove(sandbox_pidfd_);
  (void)!sys::pidfd_send_signal(sandbox_pidfd_, SIGKILL).ok();
  (void)!backend_.kill_all(spec_.sandbox->create.id).ok();
  (void)!sys::waitpid(sandbox_pid_).ok();
  sandbox_pid_ = 0;
  inherited_.board->sandbox.phase = Phase::kEnded;
}

// To be called before the directory is removed. Its blocks are given back to the disk with the last reference, which
// takes milliseconds where each of them is discarded at once: that waits until we exit, when nobody waits for us.
void Supervisor::free_late(const std::string& directory) {
  auto opened = sys::openat(sys::kCwd, directory, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  if (opened.ok()) freed_late_.push_back(*std::move(opened));
}

void Supervisor::remove_containers() {
  end_sandbox();
  for (auto app = apps_.rbegin(); app != apps_.rend(); ++app) {
    BoardCell& shared = cell(**app);
    if (shared.phase == Phase::kUntouched) continue;
    free_late(spec_.factory.root + "/" + (*app)->id());
    if (backend_.destroy((*app)->id()).ok()) shared.phase = Phase::kDestroyed;
  }
  BoardCell& sandbox = inherited_.board->sandbox;
  if (spec_.sandbox && sandbox.phase != Phase::kUntouched && backend_.destroy(spec_.sandbox->create.id).ok()) {
    sandbox.phase = Phase::kDestroyed;
  }
  if (!spec_.cgroup_path.empty()) (void)!backend_.remove_cgroup(spec_.cgroup_path).ok();
}

std::vector<ExitRecord> Supervisor::records() const {
  std::vector<ExitRecord> out;
  for (const auto& app : apps_) out.push_back(app->record_);
  return out;
}

void Supervisor::finish() {
  ending_ = true;
  remove_containers();
  if (hub_) hub_->stop_listening();
  free_late(spec_.run_dir);
  remove_run_dir(spec_.run_dir);
  const std::vector<ExitRecord> all = records();
  if (spec_.on_finish) spec_.on_finish(all);
  inherited_.board->finished = true;
  // LOCK_UN acts on the open file description that the guardian shares: the pod is free for others from here on, and
  // who hears of its end from us may use it at once.
  if (spec_.lock) (void)::flock(spec_.lock.get(), LOCK_UN);
  if (hub_) say_goodbye(all);
  sync_records();
  if (inherited_.board->reported && spec_.on_gone) spec_.on_gone();
}

void Supervisor::say_goodbye(const std::vector<ExitRecord>& all) {
  std::string body = protocol::print_records(all);
  if (body.size() > protocol::kMaxPayload) {
    std::vector<ExitRecord> shorter = all;
    for (ExitRecord& record : shorter) record.error.resize(std::min<std::size_t>(record.error.size(), 100));
    body = protocol::print_records(shorter);
  }
  hub_->finish(protocol::make_frame(protocol::FrameType::kPodExit, body));
  hand_over_unsent(hub_->take_unsent());
}

// A power cut shall not turn a record into an empty file. Late, because nobody waits for us any more.
void Supervisor::sync_records() {
  for (const auto& app : apps_) sync_exit_record(spec_.pod_dir, app->spec().name);
}

}  // namespace cooper::monitor::internal
