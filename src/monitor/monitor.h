// CONTRACT. The monitor: one process per pod, parent of every app, owner of their streams, logs, attach sockets and
// exit records.
//
//   caller (CLI, single-threaded)
//     └─ guardian   setsid, subreaper; sleeps until the monitor ends. If that has not finished (kill -9), the guardian
//        │          kills the pod's processes, reaps them, writes the missing exit records, removes cgroups and runtime
//        │          state, runs on_finish.
//        └─ monitor  clones the containers (so it stays single-threaded), copies streams, writes logs, serves
//           │        monitor.sock, writes exit records, applies the pod policy, cleans up, runs on_finish, exits.
//           ├─ sandbox init (cooper-init as PID 1 of the shared PID namespace; pods of several apps, and `--init`)
//           └─ app, app, ...
//
// Both hold the pod lock through the inherited open file description: it is free when the monitor has finished (it
// unlocks the description before it tells the clients) or when both are gone. Containers die with the monitor (parent
// death signal, and the guardian for those that dropped it).
//
// The end of a pod, in this order: last app reaped, its streams drained (to end of file; 100 ms when processes outside
// hold the pipes), its post-stop program run, exit record written, sandbox killed, containers and cgroup removed, run
// directory removed, on_finish, lock released, kPodExit to the clients, exit records flushed to disk, on_gone. SIGTERM,
// SIGINT, SIGHUP and SIGQUIT to the monitor begin it in order: stop signal to each app, SIGKILL after stop_timeout_ms.
//
// Files: logs/<app>.log below the pod directory in the CRI format ("<RFC3339Nano> stdout|stderr P|F <text>\n"),
// rotated by size (<app>.log.1 ...); status/<app> the exit record, replaced by rename (status/.<app>.reserve holds the
// space for it); monitor.sock below the run directory (SEQPACKET, 0600; protocol.h).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "container/container.h"

namespace cooper::monitor {

struct ExitRecord {
  std::string app;
  int exit_code = 0;  // 0..255; 128+signal when killed
  int signal = 0;
  bool oom_killed = false;
  bool core_dumped = false;
  std::int64_t started_unix_ms = 0;
  std::int64_t finished_unix_ms = 0;
  std::string error;                 // why it never started, or that the monitor died; empty normally
  bool unknown = false;              // nobody could note how it ended; exit_code is 255
  std::string post_stop_error = {};  // how its post-stop program failed; empty normally
};
std::string print_exit_record(const ExitRecord& record);
Result<ExitRecord> parse_exit_record(std::string text, std::string_view what);
// True when an app without a record would have left one, if its monitor and guardian had not been killed.
bool exit_record_was_promised(BorrowedFd pod_dir, const std::string& app);

// A program that runs when an app has ended, before its exit record is written: in a container that follows the app's
// with its id and cgroup. What it prints follows what the app printed; its failure is noted in the app's record. Its
// environment has EXIT_CODE (exited, killed or dumped) and EXIT_STATUS (a number or the name of a signal), as systemd
// gives them. Not for an app that never ran, nor when the monitor itself dies.
struct PostStop {
  oci::Config config;
  container::CreateOptions create;
};
// After so long it is killed: as long as an app has to stop.
int post_stop_limit_ms(int stop_timeout_ms);

struct AppSpec {
  std::string name;
  oci::Config config;
  // id, bundle, root_override ...; stdio, terminal and death signal are set by the monitor
  container::CreateOptions create;
  bool terminal = false;
  bool stdin_open = false;          // -i: a pipe that clients write to; otherwise /dev/null
  bool stdin_once = true;           // the first attached client's EOF closes it
  std::string log_file;             // below the pod directory; empty: no log
  std::uint64_t log_max_bytes = 0;  // 0: no rotation
  int log_max_files = 5;            // including the current one
  int stop_signal = 15;
  std::optional<PostStop> post_stop;
};

enum class PodPolicy {
  kAllExit,    // the pod ends when the last app has ended (rkt)
  kFirstExit,  // any app's end ends the pod
};

struct PodSpec {
  std::string uuid;
  UniqueFd pod_dir;     // directory descriptor: valid across renames of the pod
  std::string run_dir;  // absolute; made by the caller, removed by the monitor at the end
  UniqueFd lock;        // the held pod lock; inherited
  container::FactoryOptions factory;
  // cooper-init; apps' namespace paths that equal "pod:" are replaced by /proc/<sandbox pid>/ns/<type>
  std::optional<AppSpec> sandbox;
  std::vector<AppSpec> apps;  // started in this order
  PodPolicy policy = PodPolicy::kAllExit;
  int stop_timeout_ms = 10000;
  // Room for the exit records is taken before the first app runs, so that they can be written on a full disk. False for
  // pods that are removed at their end: it is taken a moment later then, for those that live so long.
  bool keeps_records = true;
  // cgroup to remove at the end besides those of the containers (the pod's own), and parents allowed to go when empty.
  std::string cgroup_path;
  // Last thing of the monitor (or the guardian), with the lock held: state transition of the pod (e.g. --rm). Runs with
  // no container left, after a failed start as well. Descriptors of the caller are closed by then, but for pod_dir and
  // lock: it opens what it needs. A monitor that is killed in it is followed by the guardian, which runs it again.
  std::function<void(const std::vector<ExitRecord>&)> on_finish;
  // After that, when the clients of a pod that had started have been told, and nobody waits any more. May be lost.
  std::function<void()> on_gone;
  std::string program;  // argv[0] shown in ps: "cooper: monitor <uuid>"
};

struct Launched {
  pid_t guardian = 0;  // child of the caller; double-forked away when detached
  UniqueFd client;     // connected SEQPACKET client, already attached as in the request (first client)
};
struct LaunchOptions {
  bool attach = false;  // foreground: the returned client gets streams from the first byte
  std::string attach_app;
  bool attach_stdin = false;
  // Of the attached app's terminal, from its first instant.
  std::optional<oci::ConsoleSize> console_size;
};

// Forks guardian and monitor; returns when every app has been started, or with the error of the first that could not
// (everything is undone then, exit records with `error` are written, the lock is free). A pod has 1 to 63 apps. Of
// several apps none runs before all could be created. A caller that dies before it knows the outcome ends the pod. The
// caller must be single-threaded.
Result<Launched> launch(PodSpec spec, const LaunchOptions& options);

}  // namespace cooper::monitor
