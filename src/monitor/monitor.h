// CONTRACT. The monitor: one process per pod, parent of every app, owner of their streams, logs, attach sockets and exit records.
//
//   caller (CLI, single-threaded)
//     └─ guardian   setsid, subreaper; sleeps on the monitor's pidfd. If the monitor dies without having finished (kill -9), it kills the
//        │          pod's processes, reaps them, writes the missing exit records, removes cgroups and runtime state, runs on_finish.
//        └─ monitor  clones the containers (so it stays single-threaded), copies streams, writes logs, serves monitor.sock, writes exit
//           │        records, applies the pod policy, cleans up, runs on_finish, exits.
//           ├─ sandbox init (cooper-init as PID 1 of the shared PID namespace; pods of several apps, and `--init`)
//           └─ app, app, ...
//
// Both hold the pod lock through the inherited open file description: it is free only when both are gone. Containers die with the monitor
// (parent death signal, and the guardian for those that dropped it).
//
// Files: logs/<app>.log below the pod directory in the CRI format ("<RFC3339Nano> stdout|stderr P|F <text>\n"), rotated by size
// (<app>.log.1 ...); status/<app> the exit record, replaced by rename; monitor.sock below the run directory (SEQPACKET, 0600; protocol.h).
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
  int exit_code = 0;         // 0..255; 128+signal when killed
  int signal = 0;
  bool oom_killed = false;
  bool core_dumped = false;
  std::int64_t started_unix_ms = 0;
  std::int64_t finished_unix_ms = 0;
  std::string error;         // why it never started, or that the monitor died; empty normally
};
std::string print_exit_record(const ExitRecord& record);
Result<ExitRecord> parse_exit_record(std::string text, std::string_view what);

struct AppSpec {
  std::string name;
  oci::Config config;
  container::CreateOptions create;  // id, bundle, root_override ...; stdio, terminal and death signal are set by the monitor
  bool terminal = false;
  bool stdin_open = false;          // -i: a pipe that clients write to; otherwise /dev/null
  bool stdin_once = true;           // the first attached client's EOF closes it
  std::string log_file;             // below the pod directory; empty: no log
  std::uint64_t log_max_bytes = 0;  // 0: no rotation
  int log_max_files = 5;            // including the current one
  int stop_signal = 15;
};

enum class PodPolicy {
  kAllExit,    // the pod ends when the last app has ended (rkt)
  kFirstExit,  // any app's end ends the pod
};

struct PodSpec {
  std::string uuid;
  UniqueFd pod_dir;                  // directory descriptor: valid across renames of the pod
  std::string run_dir;               // absolute; made by the caller, removed by the monitor at the end
  UniqueFd lock;                     // the held pod lock; inherited
  container::FactoryOptions factory;
  std::optional<AppSpec> sandbox;    // cooper-init; apps' namespace paths that equal "pod:" are replaced by /proc/<sandbox pid>/ns/<type>
  std::vector<AppSpec> apps;         // started in this order
  PodPolicy policy = PodPolicy::kAllExit;
  int stop_timeout_ms = 10000;
  // cgroup to remove at the end besides those of the containers (the pod's own), and parents allowed to go when empty.
  std::string cgroup_path;
  // Last thing of the monitor (or the guardian): state transition of the pod (e.g. --rm). Runs with no container left.
  std::function<void(const std::vector<ExitRecord>&)> on_finish;
  std::string program;               // argv[0] shown in ps: "cooper: monitor <uuid>"
};

struct Launched {
  pid_t guardian = 0;                // child of the caller; double-forked away when detached
  UniqueFd client;                   // connected SEQPACKET client, already attached as in the request (first client)
};
struct LaunchOptions {
  bool attach = false;               // foreground: the returned client gets streams from the first byte
  std::string attach_app;
  bool attach_stdin = false;
};

// Forks guardian and monitor; returns when every app has been started, or with the error of the first that could not (everything is
// undone then, exit records with `error` are written). The caller must be single-threaded.
Result<Launched> launch(PodSpec spec, const LaunchOptions& options);

}  // namespace cooper::monitor
