// The monitor process: starts the pod's containers, serves clients, and cleans up when the last app has ended.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "io/event_loop.h"
#include "monitor/internal/app.h"
#include "monitor/internal/backend.h"
#include "monitor/internal/board.h"
#include "monitor/internal/hub.h"
#include "monitor/internal/sync.h"
#include "monitor/monitor.h"

namespace cooper::monitor::internal {

// What the monitor inherits besides the pod's spec.
struct Inheritance {
  UniqueFd sync;          // to the caller of launch()
  UniqueFd first_client;  // the monitor's end; invalid: nobody attached
  int first_app = kNoApp;
  bool first_stdin = false;
  Board* board = nullptr;
  pid_t guardian = 0;
};

class Supervisor final : public HubHandler {
 public:
  Supervisor(PodSpec spec, Inheritance inheritance, Backend& backend);

  // Returns when nothing of the pod is left and everybody has been told.
  void run();

 private:
  // Start, in this order.
  Status start();
  Status open_services();
  Status start_sandbox();
  Status start_apps();
  Status create_app(App& app, BoardCell& cell, bool detach_start);
  void resolve_namespaces(oci::Config& config) const;
  Status watch_exit(App& app);
  Status watch_sandbox();
  void watch_guardian();
  void watch_caller();
  Status watch_stop_signals();
  void report_started();
  void settle();
  void watch_idle();

  // Apps
  void on_app_exit(App& app);
  void note_end(App& app, const Result<std::optional<sys::ExitStatus>>& status);
  void finish_app(App& app);
  // False when there is none, or when it could not be started.
  bool start_post_stop(App& app);
  Status run_post_stop(App& app, PostStop post_stop);
  void note_post_stop(App& app, const Result<std::optional<sys::ExitStatus>>& status);
  void hurry_post_stop(App& app, std::int64_t timeout_ms);
  void conclude_app(App& app);
  void record_app(App& app);
  void stop_app(App& app, int signal, std::int64_t timeout_ms);
  void stop_pod(std::int64_t timeout_ms, int signal = 0);
  void kill_app(App& app);

  // End, in this order.
  void fail(Error error);
  void undo_apps(const std::string& why, const Error& error);
  void end_sandbox();
  void free_late(const std::string& directory);
  void remove_containers();
  void finish();
  void say_goodbye(const std::vector<ExitRecord>& all);
  void sync_records();
  std::vector<ExitRecord> records() const;
  BoardCell& cell(const App& app);

  // HubHandler
  Result<int> find_app(std::string_view name) override;
  Result<std::string> exit_json(int app) override;
  bool app_has_terminal(int app) override { return at(app).terminal(); }
  bool stdin_once(int app) override { return at(app).spec().stdin_once; }
  bool stdin_open(int app) override { return at(app).stdin_open(); }
  bool stdin_has_room(int app) override { return at(app).stdin_has_room(); }
  void write_stdin(int app, std::string_view data) override { at(app).write_stdin(data); }
  void close_stdin(int app) override { at(app).close_stdin(); }
  void resize(int app, std::uint16_t height, std::uint16_t width) override { at(app).resize(height, width); }
  Status stop(int app, const protocol::AppRequest& request) override;
  Status kill(int app, int signal) override;
  Status reopen_logs() override;
  protocol::PodStatus status() override;
  void flow_changed(int app) override { at(app).update_flow(); }

  App& at(int app) { return *apps_[static_cast<std::size_t>(app)]; }

  PodSpec spec_;
  Inheritance inherited_;
  Backend& backend_;
  std::optional<io::EventLoop> loop_;
  std::optional<Scratch> scratch_;
  std::optional<Hub> hub_;
  std::vector<std::unique_ptr<App>> apps_;
  UniqueFd stop_signals_;
  UniqueFd guardian_pidfd_;
  pid_t sandbox_pid_ = 0;
  UniqueFd sandbox_pidfd_;
  std::vector<UniqueFd> freed_late_;
  bool idle_timer_ = false;
  bool stopping_ = false;
  std::int64_t asked_stop_ms_ = 0;  // what the last stop of the pod gave its apps
  bool ending_ = false;             // no app is left, or the start failed
};

// Serves what slow clients have not read yet, in a process of its own that holds nothing of the pod.
void hand_over_unsent(std::vector<std::unique_ptr<Connection>> connections);

}  // namespace cooper::monitor::internal
