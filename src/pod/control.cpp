// Ending pods: stop, kill, wait, remove.
#include <signal.h>
#include <sys/file.h>
#include <time.h>

#include <algorithm>

#include "base/strings.h"
#include "io/event_loop.h"
#include "io/file.h"
#include "monitor/client.h"
#include "pod/layout.h"
#include "pod/pod.h"
#include "pod/query.h"
#include "pod/remove.h"
#include "pod/state.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace cooper::pod {
namespace {

constexpr int kAnswerMs = 5000;   // from a monitor that has ended its apps; what is slower is taken for stopped or hung
constexpr int kEndingMs = 15000;  // a monitor tidies up in milliseconds; cgroups with dying tasks may take seconds
constexpr int kLockMs = 5000;
constexpr int kStartPollMs = 50;
constexpr int kPrepareLockMs = 200;  // then the pod may be elsewhere

Error not_running(const PodUuid& uuid, State state) {
  // Its apps have ended, the monitor has yet to tidy up.
  if (state == State::kRunning)
    return Error(Errc::kWrongState, "no app of pod " + quoted(uuid.str()) + " is running any more");
  return Error(Errc::kWrongState,
               "pod " + quoted(uuid.str()) + " is " + std::string(to_string(state)) + ", not running");
}

Error no_such_pod(const PodUuid& uuid) {
  return Error(Errc::kNotFound, "no such pod: " + quoted(uuid.str()));
}

// A paused app would sit out the whole timeout: the signal reaches it when it is thawed.
void resume_paused(const Engine& engine, const PodUuid& uuid, const PodManifest& manifest) {
  for (const AppManifest& app : manifest.apps) {
    auto container = engine.container(uuid, app.app.name);
    if (!container.ok()) continue;
    const auto status = container->status();
    if (status.ok() && *status == container::RunStatus::kPaused) (void)!container->resume().ok();
  }
}

// What the post-stop programs may take, after their apps were given `own_ms`.
int post_stop_ms(const PodManifest& manifest, int own_ms) {
  const auto has_one = [](const AppManifest& entry) { return !entry.app.post_stop.empty(); };
  if (std::ranges::none_of(manifest.apps, has_one)) return 0;
  return monitor::post_stop_limit_ms(own_ms > 0 ? own_ms : manifest.stop_timeout_ms);
}

// The last event of the pod. nullopt: the monitor did not answer in time.
Result<std::optional<monitor::Event>> await_end(monitor::Client& client, std::int64_t timeout_ms) {
  const std::int64_t deadline = io::monotonic_ms() + timeout_ms;
  while (true) {
    int wait = -1;
    if (timeout_ms >= 0) {
      const std::int64_t left = deadline - io::monotonic_ms();
      if (left <= 0) return std::optional<monitor::Event>();
      wait = static_cast<int>(std::min<std::int64_t>(left, INT32_MAX));
    }
    ASSIGN_OR_RETURN(monitor::Event event, client.next(wait));
    if (event.kind == monitor::Event::Kind::kPodExit || event.kind == monitor::Event::Kind::kClosed ||
        event.kind == monitor::Event::Kind::kDropped) {
      return std::optional<monitor::Event>(std::move(event));
    }
  }
}

// The process that listens on the socket: its monitor, if the name it has given itself says so.
Result<UniqueFd> find_monitor(const Layout& layout, const PodUuid& uuid) {
  ASSIGN_OR_RETURN(const UniqueFd socket, sys::unix_connect(layout.monitor_socket(uuid), SOCK_SEQPACKET));
  struct ucred peer = {};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    return Error::from_errno(errno, "find the monitor");
  // First the descriptor, then the look at the name: a pid that was given to somebody else meanwhile shows.
  ASSIGN_OR_RETURN(UniqueFd pidfd, sys::pidfd_open(peer.pid));
  ASSIGN_OR_RETURN(const std::string name, io::read_file("/proc/" + std::to_string(peer.pid) + "/cmdline", 65536));
  if (!name.starts_with("cooper: monitor " + uuid.str()))
    return Error(Errc::kNotFound, "the monitor cannot be told from other processes");
  return pidfd;
}

// The monitor itself does not react (stopped, or hung). It is killed: its guardian then ends the pod. Without a
// guardian the containers are ended from here.
Status end_by_force(const EngineOptions& options, const OpenPod& pod) {
  if (auto monitor = find_monitor(Layout(options), pod.uuid); monitor.ok()) {
    (void)!sys::pidfd_send_signal(*monitor, SIGKILL).ok();
    ASSIGN_OR_RETURN(const bool free, wait_unlocked(pod, kEndingMs));
    if (free) return {};
  }
  Result<bool> cleaned = clean_runtime(options, pod.uuid);
  if (!cleaned.ok()) return std::move(cleaned).error();
  ASSIGN_OR_RETURN(const bool free, wait_unlocked(pod, kEndingMs));
  if (free) return {};
  return Error(Errc::kTimeout,
               "the apps of pod " + quoted(pod.uuid.str()) + " were killed, but its monitor does not end")
      .with_hint("its process is called 'cooper: monitor " + pod.uuid.str() + "'; kill it, then run 'cooper pod gc'");
}

// Places a pod may be in before it can have run.
bool before_run(Place place) {
  return place < Place::kRun;
}

const monitor::ExitRecord* latest(const std::vector<monitor::ExitRecord>& records) {
  const auto earlier = [](const monitor::ExitRecord& a, const monitor::ExitRecord& b) {
    return a.finished_unix_ms < b.finished_unix_ms;
  };
  const auto last = std::max_element(records.begin(), records.end(), earlier);
  return last == records.end() ? nullptr : &*last;
}

// Keeps a pod that removes itself from taking its exit records away while somebody wants to read them (remove.h).
class RecordHold {
 public:
  explicit RecordHold(const OpenPod& pod) : pod_(pod) {}
  // False when the records are being removed already.
  bool take() {
    if (held_) return true;
    auto dir = sys::openat(pod_.dir, kStatusDir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!dir.ok() || !sys::flock(*dir, LOCK_SH | LOCK_NB).ok()) return false;
    held_ = std::move(dir).value();
    return true;
  }
  void release() { held_.reset(); }

 private:
  const OpenPod& pod_;
  UniqueFd held_;
};

enum class Asked { kNoMonitor, kTold, kMonitorDied };
struct Answer {
  Asked asked = Asked::kNoMonitor;
  monitor::ExitRecord record;
};

const monitor::ExitRecord* record_of(const std::vector<monitor::ExitRecord>& records, const std::string& app) {
  if (app.empty()) return latest(records);
  const auto found = std::find_if(records.begin(), records.end(),
                                  [&](const monitor::ExitRecord& record) { return record.app == app; });
  return found == records.end() ? nullptr : &*found;
}

// From the monitor: it tells even of a pod that is removed at its end.
Result<Answer> wait_with_monitor(const Layout& layout, const PodUuid& uuid, const std::string& app, RecordHold& hold) {
  auto client = monitor::Client::connect(layout.monitor_socket(uuid));
  if (!client.ok()) return Answer{};
  // The monitor answers a waiter for the whole pod after the pod is gone: it must not wait for us in turn.
  hold.release();
  if (!app.empty()) {
    Status watched = client->watch(app);
    if (!watched.ok() &&
        (watched.error().code() == Errc::kInvalidArgument || watched.error().code() == Errc::kNotFound))
      return std::move(watched).error();
    // Any other failure: the pod is ending this moment, and what it says at last is still to be read.
  }
  while (true) {
    auto event = client->next(-1);
    if (!event.ok()) return Answer{Asked::kMonitorDied, {}};
    switch (event->kind) {
      case monitor::Event::Kind::kExit:
      case monitor::Event::Kind::kPodExit: {
        if (app.empty() && event->kind == monitor::Event::Kind::kExit) break;
        if (const monitor::ExitRecord* record = record_of(event->records, app)) return Answer{Asked::kTold, *record};
        if (event->kind == monitor::Event::Kind::kPodExit) return Answer{Asked::kMonitorDied, {}};
        break;
      }
      case monitor::Event::Kind::kClosed:
        return Answer{Asked::kMonitorDied, {}};
      case monitor::Event::Kind::kDropped:
        return Answer{};
      case monitor::Event::Kind::kTimeout:
      case monitor::Event::Kind::kOutput:
        break;
    }
  }
}

// From the files, of a pod whose lock is free. Errc::kNotFound when they are gone and it is not known why.
Result<monitor::ExitRecord> read_end(const OpenPod& pod, const PodManifest& manifest, const std::string& app,
                                     bool monitor_died) {
  std::vector<monitor::ExitRecord> records;
  if (!monitor_died && !sys::fstatat(pod.dir, kStatusDir).ok()) {
    return no_such_pod(manifest.uuid).with_hint("it was removed before its exit status could be read");
  }
  for (const AppManifest& entry : manifest.apps) {
    if (!app.empty() && entry.app.name != app) continue;
    ASSIGN_OR_RETURN(const auto record, read_record(pod.dir, entry.app.name));
    records.push_back(record ? *record : make_record(pod.dir, entry.app.name));
  }
  return *latest(records);
}

Status signal_app(const Engine& engine, const PodUuid& uuid, const std::string& app, int signal) {
  ASSIGN_OR_RETURN(container::Container container, engine.container(uuid, app));
  RETURN_IF_ERROR(container.kill(signal));
  // A frozen process dies when it is thawed.
  const auto status = container.status();
  if (signal == SIGKILL && status.ok() && *status == container::RunStatus::kPaused) return container.resume();
  return {};
}

void pause_ms(int ms) {
  const struct timespec pause = {ms / 1000, (ms % 1000) * 1000000L};
  (void)::nanosleep(&pause, nullptr);
}

}  // namespace

Status Engine::stop(const PodUuid& uuid, int timeout_ms) const {
  const Layout layout(options_);
  ASSIGN_OR_RETURN(const OpenPod pod, open_pod(layout, uuid));
  ASSIGN_OR_RETURN(const bool locked, is_locked(pod));
  if (before_run(pod.place)) return not_running(uuid, state_of(pod.place, locked));
  if (!locked) return {};  // over
  ASSIGN_OR_RETURN(const PodManifest manifest, read_manifest(pod.dir));
  auto client = monitor::Client::connect(layout.monitor_socket(uuid));
  // A pod that is about to start does not listen yet, one that is about to end does not any more.
  const std::int64_t deadline = io::monotonic_ms() + kEndingMs;
  while (!client.ok() && client.error().code() != Errc::kTimeout && io::monotonic_ms() < deadline) {
    ASSIGN_OR_RETURN(const bool over, wait_unlocked(pod, kStartPollMs));
    if (over) return {};
    client = monitor::Client::connect(layout.monitor_socket(uuid));
  }
  Status asked = client.ok() ? client->stop("", timeout_ms) : Status();
  bool silent = false;
  if (client.ok() && asked.ok()) {
    resume_paused(*this, uuid, manifest);
    const int own = timeout_ms < 0 ? manifest.stop_timeout_ms : timeout_ms;
    const auto end = await_end(*client, std::int64_t{own} + post_stop_ms(manifest, own) + kAnswerMs);
    silent = end.ok() && !*end;
  }
  // Not when the monitor let the time pass.
  const bool hung = silent || (!client.ok() && client.error().code() == Errc::kTimeout) ||
                    (!asked.ok() && asked.error().code() == Errc::kTimeout);
  ASSIGN_OR_RETURN(const bool free, wait_unlocked(pod, hung ? 0 : kEndingMs));
  return free ? Status() : end_by_force(options_, pod);
}

Status Engine::kill(const PodUuid& uuid, std::string_view app, int signal) const {
  ASSIGN_OR_RETURN(const OpenPod pod, open_pod(Layout(options_), uuid));
  ASSIGN_OR_RETURN(const PodManifest manifest, read_manifest(pod.dir));
  const bool all = app.empty() && manifest.apps.size() > 1;
  if (!all) {
    ASSIGN_OR_RETURN(const AppManifest* entry, select_app(manifest, app));
    return signal_app(*this, uuid, entry->app.name, signal);
  }
  // Of several apps those that have ended do not matter.
  bool reached = false;
  for (const AppManifest& entry : manifest.apps) {
    Status sent = signal_app(*this, uuid, entry.app.name, signal);
    if (!sent.ok() && sent.error().code() != Errc::kWrongState) return sent;
    reached = reached || sent.ok();
  }
  if (reached) return {};
  ASSIGN_OR_RETURN(const bool locked, is_locked(pod));
  return not_running(uuid, state_of(pod.place, locked));
}

namespace {

// Whether every app has ended although the monitor has yet to write so down: it may be reading their last output.
bool is_ending(const Engine& engine, const OpenPod& pod, const PodManifest& manifest) {
  return std::ranges::all_of(manifest.apps, [&](const AppManifest& app) {
    const auto record = read_record(pod.dir, app.app.name);
    if (record.ok() && *record) return true;
    const auto container = engine.container(pod.uuid, app.app.name);
    if (!container.ok()) return false;
    const auto status = container->status();
    return status.ok() && *status == container::RunStatus::kStopped;
  });
}

// Errc::kBusy: somebody else is at work on the pod.
Status remove_once(const Engine& engine, const EngineOptions& options, const PodUuid& uuid,
                   std::optional<int> stop_timeout_ms) {
  const Layout layout(options);
  ASSIGN_OR_RETURN(OpenPod pod, open_pod(layout, uuid));
  ASSIGN_OR_RETURN(const bool locked, is_locked(pod));
  if (locked && pod.place == Place::kRun) {
    const auto manifest = read_manifest(pod.dir);
    const auto over = manifest.ok() ? all_recorded(pod.dir, *manifest) : Result<bool>(false);
    if (over.ok() && *over) {
      // The monitor is tidying up; with remove_on_exit it removes the pod itself.
      ASSIGN_OR_RETURN(const bool free, wait_unlocked(pod, kEndingMs));
      if (!free) RETURN_IF_ERROR(end_by_force(options, pod));
    } else if (!stop_timeout_ms && manifest.ok() && is_ending(engine, pod, *manifest)) {
      ASSIGN_OR_RETURN(const bool free, wait_unlocked(pod, kAnswerMs));
      if (!free) {
        return Error(Errc::kWrongState, "the apps of pod " + quoted(uuid.str()) + " have ended, its monitor has not")
            .with_hint("a handler of its end may run: try again, or remove it with '--force'");
      }
    } else if (!stop_timeout_ms) {
      const std::string name = manifest.ok() && !manifest->name.empty() ? manifest->name : uuid.str();
      return Error(Errc::kWrongState, "pod " + quoted(name) + " is running")
          .with_hint("stop it first, or remove it with '--force'");
    } else {
      RETURN_IF_ERROR(engine.stop(uuid, *stop_timeout_ms));
    }
  }
  Status taken = lock_pod(layout, pod, before_run(pod.place) ? kPrepareLockMs : kLockMs);
  if (!taken.ok()) {
    // Somebody else removed it, or it removed itself.
    if (taken.error().code() == Errc::kNotFound) return {};
    return taken;
  }
  auto cleaned = clean_runtime(options, uuid);
  if (!cleaned.ok()) return std::move(cleaned).error();
  return delete_pod(options, pod);
}

}  // namespace

Status Engine::remove(const PodUuid& uuid, std::optional<int> stop_timeout_ms) const {
  const std::int64_t deadline = io::monotonic_ms() + kLockMs;
  while (true) {
    Status removed = remove_once(*this, options_, uuid, stop_timeout_ms);
    // A pod that was being prepared may run by now: where it is has to be looked at again.
    if (removed.ok() || removed.error().code() != Errc::kBusy || io::monotonic_ms() >= deadline) return removed;
  }
}

Result<monitor::ExitRecord> Engine::wait(const PodUuid& uuid, std::string_view app) const {
  const Layout layout(options_);
  ASSIGN_OR_RETURN(OpenPod pod, open_pod(layout, uuid));
  RecordHold hold(pod);
  // A pod that has not started yet is waited for like one that runs. The descriptor follows it wherever it moves.
  while (before_run(pod.place)) {
    (void)hold.take();
    pause_ms(kStartPollMs);
    ASSIGN_OR_RETURN(const OpenPod now, open_pod(layout, uuid));
    pod.place = now.place;
  }
  auto read = read_manifest(pod.dir);
  if (!read.ok()) return open_pod(layout, uuid).ok() ? std::move(read).error() : no_such_pod(uuid);
  const PodManifest manifest = std::move(read).value();
  std::string name(app);
  if (!name.empty() || manifest.apps.size() == 1) {
    ASSIGN_OR_RETURN(const AppManifest* entry, select_app(manifest, app));
    name = entry->app.name;
  }
  for (bool monitor_died = false;;) {
    (void)hold.take();
    // The record first: an app of a running pod may have ended long ago.
    if (!name.empty()) {
      ASSIGN_OR_RETURN(const auto record, read_record(pod.dir, name));
      if (record) return *record;
    }
    ASSIGN_OR_RETURN(Answer answer, wait_with_monitor(layout, uuid, name, hold));
    if (answer.asked == Asked::kTold) return std::move(answer.record);
    monitor_died = monitor_died || answer.asked == Asked::kMonitorDied;
    // No monitor: not listening yet, gone, or killed (then the guardian is at work).
    ASSIGN_OR_RETURN(const bool free, wait_unlocked(pod, kStartPollMs));
    if (free) return read_end(pod, manifest, name, monitor_died);
  }
}

}  // namespace cooper::pod
