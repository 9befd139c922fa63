#include "pod/query.h"

#include <time.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/strings.h"
#include "container/container.h"
#include "io/file.h"
#include "pod/layout.h"
#include "pod/names.h"
#include "pod/remove.h"
#include "pod/run.h"
#include "sys/file.h"
#include "sys/socket.h"

namespace cooper::pod {
namespace {

constexpr std::size_t kMaxRecordBytes = std::size_t{1} << 20;

std::string without_dashes(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c != '-') out += c;
  }
  return out;
}

bool has_run(Place place) {
  return place == Place::kRun || place == Place::kExitedGarbage || place == Place::kGarbage;
}

// State, pid and start of a running app, from the runtime's record.
void describe_running(const EngineOptions& options, const PodUuid& uuid, AppInfo& app, std::int64_t& started_unix_ms) {
  const container::Factory factory({Layout(options).containers(), false});
  const auto loaded = factory.load(stage1::container_id(uuid.str(), app.name));
  if (!loaded.ok()) return;
  const auto status = loaded->status();
  if (!status.ok()) return;
  switch (*status) {
    case container::RunStatus::kCreating:
    case container::RunStatus::kCreated:
      return;
    case container::RunStatus::kStopped:
      app.state = "exited";
      return;
    case container::RunStatus::kRunning:
      app.state = "running";
      break;
    case container::RunStatus::kPaused:
      app.state = "paused";
      break;
  }
  app.pid = loaded->record().pid;
  const std::int64_t created = parse_timestamp_ms(loaded->record().created);
  if (created != 0 && (started_unix_ms == 0 || created < started_unix_ms)) started_unix_ms = created;
}

Status describe_app(const EngineOptions& options, const OpenPod& pod, const AppManifest& entry, PodInfo& out) {
  AppInfo app;
  app.name = entry.app.name;
  app.image = entry.image;
  app.image_id = entry.image_id;
  app.args = entry.app.args;
  app.terminal = entry.app.terminal;
  app.stdin_open = entry.app.stdin_open;
  app.state = "created";
  if (has_run(pod.place)) {
    ASSIGN_OR_RETURN(app.exit, read_record(pod.dir, app.name));
    if (!app.exit && out.state != State::kRunning) app.exit = make_record(pod.dir, app.name);
  }
  if (app.exit) {
    app.state = "exited";
    const std::int64_t started = app.exit->started_unix_ms;
    if (started != 0 && (out.started_unix_ms == 0 || started < out.started_unix_ms)) out.started_unix_ms = started;
  } else if (out.state == State::kRunning) {
    describe_running(options, pod.uuid, app, out.started_unix_ms);
  }
  out.apps.push_back(std::move(app));
  return {};
}

std::int64_t modification_ms(BorrowedFd dir) {
  const auto info = sys::fstat(dir);
  return info.ok() ? std::int64_t{info->st_mtim.tv_sec} * 1000 + info->st_mtim.tv_nsec / 1000000 : 0;
}

Error ambiguous(std::string_view text, std::size_t count) {
  return Error(Errc::kInvalidArgument, quoted(text) + " is ambiguous: " + std::to_string(count) + " pods match")
      .with_hint("give more digits");
}

Error no_such_pod(std::string_view text) {
  return Error(Errc::kNotFound, "no such pod: " + quoted(text)).with_hint("'cooper pod ls' lists them");
}

Result<std::optional<PodUuid>> find_by_name(const Layout& layout, const std::string& name) {
  ASSIGN_OR_RETURN(auto uuid, lookup_name(layout, name));
  if (!uuid) return uuid;
  const auto pod = open_pod(layout, *uuid);
  // Stale, or about to be.
  if (!pod.ok() || pod->place == Place::kGarbage) return std::optional<PodUuid>();
  return uuid;
}

Result<PodUuid> find_by_prefix(const Layout& layout, std::string_view text) {
  std::set<PodUuid> matches;
  for (const Place place : {Place::kPrepare, Place::kPrepared, Place::kRun, Place::kExitedGarbage}) {
    ASSIGN_OR_RETURN(const auto uuids, list_place(layout, place));
    for (const PodUuid& uuid : uuids) {
      if (is_prefix(text, uuid)) matches.insert(uuid);
    }
  }
  if (matches.empty()) return no_such_pod(text);
  if (matches.size() > 1) return ambiguous(text, matches.size());
  return *matches.begin();
}

}  // namespace

bool looks_like_prefix(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789abcdef-") == std::string_view::npos && text.front() != '-';
}

bool is_prefix(std::string_view text, const PodUuid& uuid) {
  return without_dashes(uuid.str()).starts_with(without_dashes(text));
}

std::int64_t parse_timestamp_ms(std::string_view text) {
  // 2026-01-02T03:04:05.123456789Z
  if (text.size() < 20 || text[10] != 'T' || text.back() != 'Z') return 0;
  const auto field = [&](std::size_t at, std::size_t size) {
    return parse_number<int>(text.substr(at, size)).value_or(-1);
  };
  struct tm parts = {};
  parts.tm_year = field(0, 4) - 1900;
  parts.tm_mon = field(5, 2) - 1;
  parts.tm_mday = field(8, 2);
  parts.tm_hour = field(11, 2);
  parts.tm_min = field(14, 2);
  parts.tm_sec = field(17, 2);
  if (parts.tm_year < 70 || parts.tm_mon < 0 || parts.tm_mday < 1 || parts.tm_hour < 0 || parts.tm_min < 0 ||
      parts.tm_sec < 0)
    return 0;
  std::int64_t ms = std::int64_t{::timegm(&parts)} * 1000;
  if (text[19] == '.') {
    std::int64_t scale = 100;
    for (std::size_t i = 20; i + 1 < text.size() && scale != 0; ++i, scale /= 10) {
      if (text[i] < '0' || text[i] > '9') return 0;
      ms += (text[i] - '0') * scale;
    }
  }
  return ms;
}

std::vector<std::string> sort_logs(std::vector<std::string> names, const std::string& app) {
  const std::string current = app + ".log";
  std::vector<std::pair<unsigned, std::string>> found;
  for (std::string& name : names) {
    if (name == current) {
      found.emplace_back(0, std::move(name));
    } else if (name.starts_with(current + ".")) {
      const auto number = parse_number<unsigned>(std::string_view(name).substr(current.size() + 1));
      if (number && *number > 0) found.emplace_back(*number, std::move(name));
    }
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<std::string> out;
  for (auto& [number, name] : found) out.push_back(std::move(name));
  return out;
}

Result<std::optional<monitor::ExitRecord>> read_record(BorrowedFd pod_dir, const std::string& app) {
  auto text = io::read_file(pod_dir, status_file(app), kMaxRecordBytes);
  if (!text.ok()) {
    if (text.error().code() == Errc::kNotFound) return std::optional<monitor::ExitRecord>();
    return std::move(text).error();
  }
  auto record = monitor::parse_exit_record(std::move(text).value(), "exit record");
  // Zero bytes after a power cut: as good as none.
  if (!record.ok()) return std::optional<monitor::ExitRecord>();
  return std::optional<monitor::ExitRecord>(std::move(record).value());
}

Result<bool> all_recorded(BorrowedFd pod_dir, const PodManifest& manifest) {
  for (const AppManifest& app : manifest.apps) {
    ASSIGN_OR_RETURN(const auto record, read_record(pod_dir, app.app.name));
    if (!record) return false;
  }
  return true;
}

Result<const AppManifest*> select_app(const PodManifest& manifest, std::string_view app) {
  if (app.empty()) {
    if (manifest.apps.size() == 1) return &manifest.apps.front();
    return Error(Errc::kInvalidArgument, "pod " + quoted(manifest.name) + " has several apps: " + manifest.app_names())
        .with_hint("name one");
  }
  if (const AppManifest* found = manifest.find(app)) return found;
  return Error(Errc::kNotFound,
               "pod " + quoted(manifest.name) + " has no app " + quoted(app) + ", only " + manifest.app_names());
}

Result<PodInfo> describe(const EngineOptions& options, const OpenPod& pod) {
  ASSIGN_OR_RETURN(const bool locked, is_locked(pod));
  PodInfo out{pod.uuid, state_of(pod.place, locked), {}, false, {}, {}, 0, 0, {}, {}, {}};
  auto manifest = read_manifest(pod.dir);
  if (!manifest.ok()) {
    // Not written yet, or lost: what there is can still be listed and removed.
    out.created_unix_ms = modification_ms(pod.dir);
    return out;
  }
  out.name = manifest->name;
  out.single = manifest->single;
  out.network = network_word(manifest->network);
  out.hostname = manifest->hostname;
  out.created_unix_ms = manifest->created_unix_ms;
  out.labels = manifest->labels;
  out.annotations = manifest->annotations;
  for (const AppManifest& entry : manifest->apps) RETURN_IF_ERROR(describe_app(options, pod, entry, out));
  const auto has_exit = [](const AppInfo& app) { return app.exit.has_value(); };
  if (out.state == State::kRunning && std::all_of(out.apps.begin(), out.apps.end(), has_exit))
    out.state = State::kExited;
  return out;
}

std::string_view to_string(State state) {
  switch (state) {
    case State::kEmbryo:
      return "embryo";
    case State::kPreparing:
      return "preparing";
    case State::kAbortedPrepare:
      return "aborted prepare";
    case State::kPrepared:
      return "prepared";
    case State::kRunning:
      return "running";
    case State::kExited:
      return "exited";
    case State::kExitedGarbage:
      return "exited garbage";
    case State::kDeleting:
      return "deleting";
    case State::kGarbage:
      return "garbage";
  }
  return "unknown";
}

Result<PodUuid> Engine::find(std::string_view name_or_uuid) const {
  if (name_or_uuid.empty()) return Error(Errc::kInvalidArgument, "the name of a pod must not be empty");
  const Layout layout(options_);
  ASSIGN_OR_RETURN(auto named, find_by_name(layout, std::string(name_or_uuid)));
  if (named) return std::move(*named);
  const std::string text = to_lower(name_or_uuid);
  if (!looks_like_prefix(text)) return no_such_pod(name_or_uuid);
  return find_by_prefix(layout, text);
}

Result<PodInfo> Engine::info(const PodUuid& uuid) const {
  ASSIGN_OR_RETURN(const OpenPod pod, open_pod(Layout(options_), uuid));
  return describe(options_, pod);
}

Result<std::vector<PodInfo>> Engine::list() const {
  const Layout layout(options_);
  // In the order in which pods move: one that moves meanwhile is seen twice rather than not at all, and the later place
  // holds.
  std::map<PodUuid, PodInfo> found;
  for (const Place place : kPlaces) {
    ASSIGN_OR_RETURN(const auto uuids, list_place(layout, place));
    for (const PodUuid& uuid : uuids) {
      if (place == Place::kGarbage) {
        found.erase(uuid);
        continue;
      }
      ASSIGN_OR_RETURN(const auto pod, open_pod_at(layout, uuid, place));
      if (!pod) continue;
      auto info = describe(options_, *pod);
      if (info.ok()) found.insert_or_assign(uuid, std::move(info).value());
    }
  }
  std::vector<PodInfo> out;
  for (auto& [uuid, info] : found) out.push_back(std::move(info));
  std::stable_sort(out.begin(), out.end(),
                   [](const PodInfo& a, const PodInfo& b) { return a.created_unix_ms < b.created_unix_ms; });
  return out;
}

Result<std::string> Engine::manifest(const PodUuid& uuid) const {
  ASSIGN_OR_RETURN(const OpenPod pod, open_pod(Layout(options_), uuid));
  return io::read_file(pod.dir, kManifestFile, kMaxManifestBytes);
}

Result<container::Container> Engine::container(const PodUuid& uuid, std::string_view app) const {
  const Layout layout(options_);
  ASSIGN_OR_RETURN(const OpenPod pod, open_pod(layout, uuid));
  ASSIGN_OR_RETURN(const PodManifest manifest, read_manifest(pod.dir));
  ASSIGN_OR_RETURN(const AppManifest* entry, select_app(manifest, app));
  const container::Factory factory({layout.containers(), false});
  auto loaded = factory.load(stage1::container_id(uuid.str(), entry->app.name));
  if (!loaded.ok() && loaded.error().code() == Errc::kNotFound) {
    return Error(Errc::kWrongState,
                 "app " + quoted(entry->app.name) + " of pod " + quoted(manifest.name) + " is not running");
  }
  return loaded;
}

Result<oci::Config> Engine::app_config(const PodUuid& uuid, std::string_view app) const {
  // The runtime's copy is what was really started; after the end the same decisions are made again.
  auto running = container(uuid, app);
  if (running.ok()) {
    auto config = running->config();
    if (config.ok()) return config;
  } else if (running.error().code() != Errc::kWrongState) {
    return std::move(running).error();
  }
  ASSIGN_OR_RETURN(const OpenPod pod, open_pod(Layout(options_), uuid));
  ASSIGN_OR_RETURN(const PodManifest manifest, read_manifest(pod.dir));
  ASSIGN_OR_RETURN(const AppManifest* entry, select_app(manifest, app));
  const std::string name = entry->app.name;
  ASSIGN_OR_RETURN(stage1::Launch launch, build_launch(options_, manifest, pod.place));
  for (monitor::AppSpec& spec : launch.apps) {
    if (spec.name == name) return std::move(spec.config);
  }
  return Error(Errc::kInternal, "app " + quoted(name) + " was not built");
}

Result<std::vector<std::string>> Engine::log_files(const PodUuid& uuid, std::string_view app) const {
  const Layout layout(options_);
  ASSIGN_OR_RETURN(const OpenPod pod, open_pod(layout, uuid));
  ASSIGN_OR_RETURN(const PodManifest manifest, read_manifest(pod.dir));
  ASSIGN_OR_RETURN(const AppManifest* entry, select_app(manifest, app));
  ASSIGN_OR_RETURN(const UniqueFd logs, sys::openat(pod.dir, kLogsDir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  ASSIGN_OR_RETURN(auto names, sys::list_directory(logs));
  std::vector<std::string> out;
  const std::string directory = layout.pod(pod.place, uuid) + "/" + kLogsDir + "/";
  for (const std::string& name : sort_logs(std::move(names), entry->app.name)) out.push_back(directory + name);
  return out;
}

Result<UniqueFd> Engine::monitor_socket(const PodUuid& uuid) const {
  const Layout layout(options_);
  auto socket = sys::unix_connect(layout.monitor_socket(uuid), SOCK_SEQPACKET);
  if (socket.ok()) return socket;
  const int e = socket.error().errno_value();
  if (e != ENOENT && e != ECONNREFUSED) return std::move(socket).error();
  ASSIGN_OR_RETURN(const OpenPod pod, open_pod(layout, uuid));
  return Error(Errc::kWrongState, "pod " + quoted(uuid.str()) + " is not running");
}

}  // namespace cooper::pod
