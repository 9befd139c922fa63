#include "pod/run.h"

#include <sys/file.h>

#include <algorithm>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "io/file.h"
#include "log/log.h"
#include "log/steps.h"
#include "network/support_files.h"
#include "pod/copy_tree.h"
#include "pod/remove.h"
#include "sys/file.h"

namespace cooper::pod {
namespace {

constexpr int kRelockMs = 2000;
constexpr int kIdleLockMs = 200;  // whoever starts a pod has the lock for so long at most, and goes on to have a pod

bool needs_init(const PodManifest& manifest) {
  return !manifest.single ||
         std::any_of(manifest.apps.begin(), manifest.apps.end(), [](const AppManifest& app) { return app.app.init; });
}

// What the pod's apps write to, or make mount points in, as root of their user namespace.
Status give_to_root(const PodManifest& manifest, BorrowedFd run_dir) {
  if (manifest.id_maps.empty()) return {};
  ASSIGN_OR_RETURN(const Owner root, map_owner({0, 0}, manifest.id_maps));
  for (const char* name : {network::kHostsFile, network::kHostnameFile, network::kResolvFile})
    RETURN_IF_ERROR(sys::fchownat(run_dir, name, root.uid, root.gid));
  return manifest.single ? Status() : sys::fchownat(run_dir, kSandboxDir, root.uid, root.gid);
}

// Makes the run directory: name service files, and the sandbox's empty root.
Status make_run_dir(const Layout& layout, const PodManifest& manifest) {
  const std::string path = layout.run_dir(manifest.uuid);
  RETURN_IF_ERROR(sys::mkdirat(sys::kCwd, path, 0700));
  ASSIGN_OR_RETURN(const UniqueFd dir, sys::openat(sys::kCwd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  const auto mode = manifest.network == Network::kHost ? network::Mode::kHost : network::Mode::kNone;
  RETURN_IF_ERROR(network::write_support_files(dir, mode, manifest.hostname));
  if (!manifest.single) RETURN_IF_ERROR(sys::mkdirat(sys::kCwd, layout.sandbox_root(manifest.uuid), 0755));
  return give_to_root(manifest, dir);
}

// Last act of the monitor, or of the guardian in its place. Neither has any descriptor of ours; the lock is theirs.
void finish_pod(const EngineOptions& options, const PodUuid& uuid) {
  auto pod = open_pod_at(Layout(options), uuid, Place::kRun);
  if (!pod.ok() || !*pod) return;
  // What fails here is left to gc, which removes exited pods with remove_on_exit at once.
  (void)!delete_in_background(options, **pod).ok();
}

Result<monitor::PodSpec> pod_spec(const EngineOptions& options, PreparedPod prepared, stage1::Launch launch) {
  const Layout layout(options);
  const PodManifest& manifest = prepared.manifest;
  monitor::PodSpec spec;
  spec.uuid = manifest.uuid.str();
  ASSIGN_OR_RETURN(spec.pod_dir, sys::dup_cloexec(prepared.pod.dir));
  spec.lock = std::move(prepared.pod.dir);
  spec.run_dir = layout.run_dir(manifest.uuid);
  spec.factory = {layout.containers(), false};
  spec.sandbox = std::move(launch.sandbox);
  spec.apps = std::move(launch.apps);
  spec.stop_timeout_ms = manifest.stop_timeout_ms;
  spec.keeps_records = !manifest.remove_on_exit;
  spec.cgroup_path = std::move(launch.cgroup_path);
  if (manifest.remove_on_exit) {
    spec.on_finish = [options, uuid = manifest.uuid](const std::vector<monitor::ExitRecord>&) {
      finish_pod(options, uuid);
    };
  }
  spec.on_gone = [options] { remove_idle_cgroup_parent(options, kIdleLockMs); };
  spec.program = "cooper: monitor " + manifest.uuid.str();
  return spec;
}

// The monitor has undone everything, if it ever lived. What is left is ours: no record, no removal.
void settle_failed_start(const EngineOptions& options, const PodUuid& uuid, const Error& error, OnFailure on_failure) {
  auto opened = open_pod_at(Layout(options), uuid, Place::kRun);
  if (!opened.ok() || !*opened) return;
  OpenPod& pod = **opened;
  if (!lock_pod(Layout(options), pod, kRelockMs).ok()) return;
  (void)!clean_runtime(options, uuid).ok();
  const auto manifest = read_manifest(pod.dir);
  if (!manifest.ok()) return;
  if (manifest->remove_on_exit || on_failure == OnFailure::kRemove) {
    discard_pod(options, pod);
  } else {
    (void)!complete_records(pod, *manifest, MissingRecord{125, 0, error.message()}).ok();
  }
}

}  // namespace

stage1::Pod flavor_pod(const EngineOptions& options, const PodManifest& manifest, Place where) {
  const Layout layout(options);
  stage1::Pod pod;
  pod.uuid = manifest.uuid.str();
  pod.hostname = manifest.hostname;
  pod.host_network = manifest.network == Network::kHost;
  pod.single = manifest.single;
  pod.remove_on_exit = manifest.remove_on_exit;
  pod.id_maps = manifest.id_maps;
  pod.pod_dir = layout.pod(where, manifest.uuid);
  pod.run_dir = layout.run_dir(manifest.uuid);
  pod.volumes_dir = pod.pod_dir + "/" + kVolumesDir;
  pod.sandbox_rootfs = layout.sandbox_root(manifest.uuid);
  pod.hosts_file = pod.run_dir + "/" + network::kHostsFile;
  pod.hostname_file = pod.run_dir + "/" + network::kHostnameFile;
  pod.resolv_file = pod.run_dir + "/" + network::kResolvFile;
  pod.cgroup_parent = options.cgroup_parent;
  pod.log_max_bytes = manifest.log_max_bytes;
  pod.annotations = manifest.annotations;
  for (const AppManifest& entry : manifest.apps) {
    stage1::App& app = pod.apps.emplace_back(entry.app);
    app.upper_dir = pod.pod_dir + "/" + upper_dir(app.name);
    app.work_dir = pod.pod_dir + "/" + work_dir(app.name);
    app.image_dir = pod.pod_dir + "/" + image_dir(app.name);
    app.mount_point = app.upper_dir;
  }
  return pod;
}

Result<stage1::Launch> build_launch(const EngineOptions& options, const PodManifest& manifest, Place where) {
  stage1::Pod pod = flavor_pod(options, manifest, where);
  if (needs_init(manifest)) {
    ASSIGN_OR_RETURN(pod.init_path, find_init(options));
  }
  ASSIGN_OR_RETURN(const stage1::Host host, stage1::probe_host(stage1::host_needs(pod)));
  return stage1::native().build(pod, host);
}

Result<RunResult> start_pod(const EngineOptions& options, PreparedPod prepared, stage1::Launch launch,
                            const monitor::LaunchOptions& how, OnFailure on_failure) {
  const PodUuid uuid = prepared.manifest.uuid;
  const bool keep = !prepared.manifest.remove_on_exit;
  const bool has_id_maps = !prepared.manifest.id_maps.empty();
  const Layout layout(options);
  std::vector<std::string> image_ids;
  for (const AppManifest& app : prepared.manifest.apps) image_ids.push_back(app.image_id);
  const auto start = [&]() -> Result<monitor::Launched> {
    // Keeps others from removing the parent of the cgroups that are about to be made.
    ASSIGN_OR_RETURN(const UniqueFd starting, sys::openat(sys::kCwd, layout.run_pods(), O_RDONLY | O_DIRECTORY));
    const log::Stopwatch waiting;
    RETURN_IF_ERROR(sys::flock(starting, LOCK_SH));
    log::step("lock of starts", [&] { return log::Fields{{"path", layout.run_pods()}, {"waited_ms", waiting.ms()}}; });
    if (Status made = make_run_dir(layout, prepared.manifest); !made.ok())
      return std::move(made).error().with("run directory " + quoted(layout.run_dir(uuid)));
    ASSIGN_OR_RETURN(monitor::PodSpec spec, pod_spec(options, std::move(prepared), std::move(launch)));
    return monitor::launch(std::move(spec), how);
  };
  auto launched = start();
  prepared.pod.dir.reset();  // still ours if the monitor never took it
  if (!launched.ok()) {
    settle_failed_start(options, uuid, launched.error(), on_failure);
    remove_idle_cgroup_parent(options, 0);
    return explain_exec_format(options, image_ids, std::move(launched).error());
  }
  log::step("pod runs", [&] {
    return log::Fields{{"pod", uuid.str()}, {"guardian", std::to_string(launched->guardian)}};
  });
  if (keep) {
    // After the start, so that the app does not wait for the disk; before the caller can tell anybody of the pod.
    auto pod = open_pod_at(layout, uuid, Place::kRun);
    if (pod.ok() && *pod && !flush_pod(layout, **pod, has_id_maps).ok())
      log::warning("pod " + quoted(uuid.str()) + " could not be flushed to disk");
  }
  return RunResult{uuid, std::move(launched).value()};
}

}  // namespace cooper::pod
