#include "monitor/internal/guardian.h"

#include <sys/file.h>
#include <sys/wait.h>

#include "base/strings.h"
#include "io/event_loop.h"
#include "io/file.h"
#include "monitor/internal/pod_end.h"
#include "monitor/internal/sync.h"
#include "monitor/internal/wall_clock.h"
#include "monitor/process_setup.h"
#include "sys/process.h"
#include "sys/retry.h"
#include "sys/socket.h"

namespace cooper::monitor::internal {
namespace {

constexpr int kSettleMs = 50;
constexpr std::int64_t kReapMs = 10000;  // processes in uninterruptible sleep are left to `pod gc` after so long

// Sleeps until the monitor has ended. Returns how.
sys::ExitStatus wait_for_monitor(pid_t monitor) {
  while (true) {
    int status = 0;
    const pid_t pid = sys::retry([&] { return ::waitpid(-1, &status, 0); });
    if (pid == monitor) return sys::exit_status_from_wait(status);
    if (pid < 0) return {};  // no child: cannot be, the monitor is one until reaped
  }
}

std::vector<pid_t> children() {
  std::vector<pid_t> out;
  const auto text = io::read_file("/proc/thread-self/children");
  if (!text.ok()) return out;
  for (const std::string_view word : split(trim(*text), ' ')) {
    if (const auto pid = parse_number<pid_t>(word)) out.push_back(*pid);
  }
  return out;
}

// A process by pid is safe here: our children stay ours until we reap them.
void kill_and_reap_children(Board& board) {
  const auto note_end = [&](pid_t pid, int status) {
    const sys::ExitStatus ended = sys::exit_status_from_wait(status);
    for (BoardCell& cell : board.apps) {
      if (cell.pid != pid || cell.phase == Phase::kEnded || cell.phase == Phase::kDestroyed) continue;
      cell.exit_code = ended.shell_code();
      cell.signal = ended.signal;
      cell.core_dumped = ended.core_dumped;
      cell.finished_unix_ms = wall_clock_ms();
      cell.phase = Phase::kEnded;
    }
  };
  const std::int64_t deadline = io::monotonic_ms() + kReapMs;
  while (io::monotonic_ms() < deadline) {
    for (const pid_t pid : children()) (void)::kill(pid, SIGKILL);
    int status = 0;
    const pid_t pid = sys::retry([&] { return ::waitpid(-1, &status, WNOHANG); });
    if (pid < 0) return;
    if (pid > 0) {
      note_end(pid, status);
      continue;
    }
    // Wait for one of them, without losing the deadline to a process that cannot die.
    for (const pid_t child : children()) {
      if (auto pidfd = sys::pidfd_open(child); pidfd.ok()) (void)!sys::pidfd_wait(*pidfd, 100).ok();
      break;
    }
  }
}

ExitRecord missing_record(const AppSpec& app, const BoardCell& cell, const std::string& why) {
  ExitRecord record;
  record.app = app.name;
  record.started_unix_ms = cell.started_unix_ms;
  record.finished_unix_ms = cell.finished_unix_ms;
  record.exit_code = cell.exit_code;
  record.signal = cell.signal;
  record.core_dumped = cell.core_dumped;
  if (cell.finished_unix_ms == 0) {
    record.finished_unix_ms = wall_clock_ms();
    record.exit_code = cell.phase == Phase::kUntouched ? 125 : 128 + SIGKILL;
    record.signal = cell.phase == Phase::kUntouched ? 0 : SIGKILL;
  }
  record.error = why;
  return record;
}

std::vector<ExitRecord> complete_records(const PodSpec& spec, Board& board, const std::string& why) {
  std::vector<ExitRecord> out;
  for (std::size_t i = 0; i < spec.apps.size(); ++i) {
    BoardCell& cell = board.apps[i];
    if (cell.recorded) {
      if (auto record = read_exit_record(spec.pod_dir, spec.apps[i].name); record.ok()) {
        out.push_back(*std::move(record));
        continue;
      }
    }
    out.push_back(missing_record(spec.apps[i], cell, why));
    if (write_exit_record(spec.pod_dir, out.back()).ok()) cell.recorded = true;
  }
  return out;
}

void remove_containers(const PodSpec& spec, Board& board, Backend& backend) {
  const auto remove = [&](const AppSpec& app, BoardCell& cell) {
    if (cell.phase == Phase::kUntouched || cell.phase == Phase::kDestroyed) return;
    if (backend.destroy(app.create.id).ok()) cell.phase = Phase::kDestroyed;
  };
  for (std::size_t i = spec.apps.size(); i-- > 0;) remove(spec.apps[i], board.apps[i]);
  if (spec.sandbox) remove(*spec.sandbox, board.sandbox);
  if (!spec.cgroup_path.empty()) (void)!backend.remove_cgroup(spec.cgroup_path).ok();
}

void finish_in_its_place(const PodSpec& spec, Board& board, Backend& backend, const std::string& why) {
  // Paused containers first: their processes take a signal only when thawed.
  const auto kill = [&](const AppSpec& app, const BoardCell& cell) {
    // An app that has ended may be followed by its post-stop program.
    const bool may_run = cell.phase == Phase::kCreated || cell.phase == Phase::kRunning || cell.phase == Phase::kEnded;
    if (may_run) (void)!backend.kill_all(app.create.id).ok();
  };
  for (std::size_t i = 0; i < spec.apps.size(); ++i) kill(spec.apps[i], board.apps[i]);
  if (spec.sandbox) kill(*spec.sandbox, board.sandbox);
  kill_and_reap_children(board);
  remove_containers(spec, board, backend);
  const std::vector<ExitRecord> records = complete_records(spec, board, why);
  remove_run_dir(spec.run_dir);
  if (spec.on_finish) spec.on_finish(records);
  board.finished = true;
  for (const ExitRecord& record : records) sync_exit_record(spec.pod_dir, record.app);
  if (spec.lock) (void)::flock(spec.lock.get(), LOCK_UN);
}

// Only names and ids are needed from here on.
void forget_configs(PodSpec& spec) {
  for (AppSpec& app : spec.apps) {
    app.config = oci::Config();
    app.post_stop.reset();
    container::CreateOptions kept;
    kept.id = std::move(app.create.id);
    app.create = std::move(kept);
  }
  if (spec.sandbox) spec.sandbox->config = oci::Config();
}

}  // namespace

void guard(PodSpec spec, pid_t monitor, Board& board, UniqueFd sync, Backend& backend) {
  bool ended = false;
  if (auto pidfd = sys::pidfd_open(monitor); pidfd.ok()) {
    // Tidying up waits until the start, which runs at this moment, is over.
    auto early = sys::pidfd_wait(*pidfd, kSettleMs);
    ended = early.ok() && *early;
  }
  if (!ended) {
    forget_configs(spec);
    set_process_name("cooper-guardian", spec.program.empty() ? spec.program : spec.program + " (guardian)");
    protect_from_oom_killer();
    trim_memory();
  }
  const sys::ExitStatus status = wait_for_monitor(monitor);
  if (board.finished) return;
  const std::string how = status.signal != 0 ? "was killed by signal " + std::to_string(status.signal)
                                             : "ended with status " + std::to_string(status.code);
  const std::string why = "the monitor of the pod " + how;
  const bool told = board.reported;
  finish_in_its_place(spec, board, backend, why);
  if (told) {
    if (spec.on_gone) spec.on_gone();
    return;
  }
  Outcome outcome;
  outcome.error = Error(Errc::kInternal, why + " before the pod was started");
  (void)!sys::send_message(sync, print_outcome(outcome)).ok();
}

}  // namespace cooper::monitor::internal
