// The monitor of one container or exec session, from the start of the runtime to the exit command.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "cgroup/usage.h"
#include "conmon/attach_server.h"
#include "conmon/control.h"
#include "conmon/engine_pipes.h"
#include "conmon/log_sinks.h"
#include "conmon/notify_relay.h"
#include "conmon/options.h"
#include "conmon/streams.h"
#include "io/event_loop.h"
#include "sys/process.h"

namespace cooper::conmon {

// What the process was started with and must hand on.
struct Inherited {
  std::vector<std::string> env;  // of the runtime and of the exit command
  std::vector<int> fds;          // further descriptors: ports an engine keeps busy, LISTEN_FDS
  bool replace_listen_pid = false;
  std::string oom_score_adj;  // empty: unchanged
  LogSinks logs;
};

class Supervisor {
 public:
  Supervisor(const Options& options, EnginePipes pipes, Inherited inherited, io::EventLoop loop);
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Returns the exit status of the container. A failure to start was reported on the sync pipe.
  Result<int> run();

 private:
  Status prepare();
  Status prepare_console();
  Status prepare_attach();
  Status start_runtime();
  Status wait_for_runtime();
  Status runtime_failed(const sys::ExitStatus& status);
  Status adopt_container();
  void take_console();
  void watch_memory();
  void note_oom();
  void on_signals();
  void forward(int signal);
  void reap();
  void kill_container();
  void finish(int status);
  void write_exit_files(int status);
  void run_exit_command();
  void touch();
  std::string_view start_key() const;

  const Options& options_;
  EnginePipes pipes_;
  Inherited inherited_;
  io::EventLoop loop_;
  AttachServer attach_;
  Streams streams_;
  Control control_;
  NotifyRelay notify_;
  std::optional<cgroup::OomWatch> oom_;
  UniqueFd signals_;
  ChildStdio child_;
  std::string console_dir_;
  UniqueFd console_listener_;
  bool console_done_ = false;
  std::string socket_link_;
  pid_t runtime_ = 0;
  pid_t container_ = 0;
  pid_t exit_command_ = 0;
  std::optional<sys::ExitStatus> runtime_status_;
  std::optional<sys::ExitStatus> status_;
  std::map<pid_t, sys::ExitStatus> ended_;  // before the container's process number is known
  bool timed_out_ = false;
  bool idle_timer_ = false;
};

}  // namespace cooper::conmon
