#include "pod/remove.h"

#include <signal.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "cgroup/cgroup.h"
#include "container/container.h"
#include "io/file.h"
#include "pod/id_ranges.h"
#include "pod/names.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cooper::pod {
namespace {

// A reader needs microseconds, unless it is stopped.
constexpr int kReadersMs = 5000;
constexpr int kLockMs = 5000;

// The child's part. Nothing inherited may stay open: the parent's clients wait for the end of their connections.
[[noreturn]] void erase_and_exit(const EngineOptions& options, const PodUuid& uuid) {
  (void)!sys::close_range(3, ~0U, 0).ok();
  (void)::setsid();
  (void)::prctl(PR_SET_NAME, "cooper-erase");
  auto pod = open_pod_at(Layout(options), uuid, Place::kGarbage);
  if (pod.ok() && *pod && lock_pod(Layout(options), **pod, kLockMs).ok()) {
    auto status = sys::openat((*pod)->dir, kStatusDir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (status.ok()) (void)!lock_directory(*status, kReadersMs).ok();
    (void)!erase_pod(options, **pod).ok();
  }
  ::_exit(0);
}

// A record that cannot be read (half written, or of a newer version) still names the container by its directory; its
// cgroup is removed with the pod's.
Status remove_container(const container::Factory& factory, const std::string& id) {
  auto loaded = factory.load_for_removal(id);
  if (loaded.ok() && loaded->destroy(true).ok()) return {};
  ASSIGN_OR_RETURN(const UniqueFd root, sys::openat(sys::kCwd, factory.options().root, O_RDONLY | O_DIRECTORY));
  return io::remove_tree(root, id);
}

Result<bool> remove_cgroup(const std::string& path) {
  ASSIGN_OR_RETURN(const cgroup::Layout layout, cgroup::probe_layout());
  ASSIGN_OR_RETURN(cgroup::Group group, cgroup::Group::open(layout, path));
  const auto directories = group.directories();
  const auto exists = [](const auto& entry) { return sys::fstatat(sys::kCwd, entry.second).ok(); };
  if (std::none_of(directories.begin(), directories.end(), exists)) return false;
  RETURN_IF_ERROR(group.kill_all(SIGKILL));
  RETURN_IF_ERROR(group.remove());
  return true;
}

Result<bool> remove_run_dir(const Layout& layout, const PodUuid& uuid) {
  ASSIGN_OR_RETURN(const UniqueFd parent, sys::openat(sys::kCwd, layout.run_pods(), O_RDONLY | O_DIRECTORY));
  if (!sys::fstatat(parent, uuid.str()).ok()) return false;
  RETURN_IF_ERROR(io::remove_tree(parent, uuid.str()));
  return true;
}

Status release_trees(const Layout& layout, const PodUuid& uuid, const std::optional<PodManifest>& manifest) {
  ASSIGN_OR_RETURN(image::Store store, image::Store::open(layout.images()));
  std::set<std::string> chains;
  if (manifest) {
    for (const AppManifest& app : manifest->apps) {
      if (!app.chain.empty()) chains.insert(app.chain);
    }
  } else {
    ASSIGN_OR_RETURN(const auto users, store.tree_users());
    for (const auto& [chain, user] : users) {
      if (user == uuid.str()) chains.insert(chain);
    }
  }
  for (const std::string& chain : chains) {
    Status released = store.release_tree(chain, uuid.str());
    // A damaged manifest must not make a pod that nobody can remove; gc finds users of trees without a pod.
    if (!released.ok() && released.error().code() != Errc::kInvalidArgument) return released;
  }
  return {};
}

Status release_names(const Layout& layout, const PodUuid& uuid, const std::optional<PodManifest>& manifest) {
  if (manifest) return release_name(layout, manifest->name, uuid);
  ASSIGN_OR_RETURN(const UniqueFd names, sys::openat(sys::kCwd, layout.names(), O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(const auto all, sys::list_directory(names));
  for (const std::string& name : all) RETURN_IF_ERROR(release_name(layout, name, uuid));
  return {};
}

}  // namespace

Result<bool> clean_runtime(const EngineOptions& options, const PodUuid& uuid) {
  const Layout layout(options);
  const container::Factory factory({layout.containers(), false});
  bool found = false;
  // Everything that may still run goes first.
  ASSIGN_OR_RETURN(const UniqueFd containers, sys::openat(sys::kCwd, layout.containers(), O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(const auto ids, sys::list_directory(containers));
  for (const std::string& id : ids) {
    if (!id.starts_with(uuid.str() + "_")) continue;
    found = true;
    Status removed = remove_container(factory, id);
    if (!removed.ok()) return std::move(removed).error().with("remove container " + quoted(id));
  }
  ASSIGN_OR_RETURN(const bool cgroup, remove_cgroup(options.cgroup_parent + "/" + uuid.str()));
  ASSIGN_OR_RETURN(const bool run_dir, remove_run_dir(layout, uuid));
  if (cgroup) remove_idle_cgroup_parent(options, 0);
  return found || cgroup || run_dir;
}

void remove_idle_cgroup_parent(const EngineOptions& options, int lock_ms) {
  if (options.cgroup_parent != derive_cgroup_parent(options.run_root)) return;
  const Layout layout(options);
  const auto run_pods = sys::openat(sys::kCwd, layout.run_pods(), O_RDONLY | O_DIRECTORY);
  if (!run_pods.ok()) return;
  const auto pods = sys::list_directory(*run_pods);
  if (!pods.ok() || !pods->empty()) return;
  // A start holds it shared until its cgroups exist.
  const auto locked = lock_directory(*run_pods, lock_ms);
  if (!locked.ok() || !*locked) return;
  const auto cgroups = cgroup::probe_layout();
  if (cgroups.ok()) cgroup::remove_empty_parents(*cgroups, options.cgroup_parent, "/");
}

monitor::ExitRecord make_record(const std::string& app, const MissingRecord& missing) {
  monitor::ExitRecord record;
  record.app = app;
  record.exit_code = missing.exit_code;
  record.signal = missing.signal;
  record.finished_unix_ms = std::int64_t{::time(nullptr)} * 1000;
  record.error = missing.error;
  return record;
}

monitor::ExitRecord make_record(BorrowedFd pod_dir, const std::string& app) {
  if (monitor::exit_record_was_promised(pod_dir, app)) return make_record(app, MissingRecord());
  monitor::ExitRecord record = make_record(app, {255, 0, kNoRecord});
  record.unknown = true;
  return record;
}

Result<int> complete_records(const OpenPod& pod, const PodManifest& manifest,
                             const std::optional<MissingRecord>& missing) {
  int written = 0;
  for (const AppManifest& app : manifest.apps) {
    const std::string name = status_file(app.app.name);
    if (sys::fstatat(pod.dir, name).ok()) continue;
    const monitor::ExitRecord record =
        missing ? make_record(app.app.name, *missing) : make_record(pod.dir, app.app.name);
    RETURN_IF_ERROR(io::write_file_atomic(pod.dir, name, monitor::print_exit_record(record)));
    ++written;
  }
  return written;
}

Status retire_pod(const EngineOptions& options, OpenPod& pod) {
  const Layout layout(options);
  std::optional<PodManifest> manifest;
  if (auto read = read_manifest(pod.dir); read.ok()) manifest = std::move(read).value();
  if (pod.place != Place::kGarbage) RETURN_IF_ERROR(move_pod(layout, pod, Place::kGarbage, io::Durability::kNone));
  RETURN_IF_ERROR(release_names(layout, pod.uuid, manifest));
  if (!manifest || !manifest->id_maps.empty()) RETURN_IF_ERROR(release_id_ranges(layout, pod.uuid));
  return release_trees(layout, pod.uuid, manifest);
}

Status erase_pod(const EngineOptions& options, const OpenPod& pod) {
  ASSIGN_OR_RETURN(const UniqueFd garbage,
                   sys::openat(sys::kCwd, Layout(options).place(Place::kGarbage), O_RDONLY | O_DIRECTORY));
  Status removed = io::remove_tree(garbage, pod.uuid.str());
  if (!removed.ok()) return std::move(removed).error().with("delete pod " + quoted(pod.uuid.str()));
  return {};
}

Status delete_pod(const EngineOptions& options, OpenPod& pod) {
  RETURN_IF_ERROR(retire_pod(options, pod));
  return erase_pod(options, pod);
}

Status delete_in_background(const EngineOptions& options, OpenPod& pod) {
  RETURN_IF_ERROR(retire_pod(options, pod));
  const pid_t child = ::fork();
  if (child < 0) return erase_pod(options, pod);
  if (child == 0) erase_and_exit(options, pod.uuid);
  return {};
}

}  // namespace cooper::pod
