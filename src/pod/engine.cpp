#include "base/scope_exit.h"
#include "base/strings.h"
#include "image/owner.h"
#include "io/file.h"
#include "log/steps.h"
#include "pod/layout.h"
#include "pod/pod.h"
#include "pod/prepare.h"
#include "pod/run.h"
#include "sys/file.h"

namespace cooper::pod {
namespace {

constexpr int kStartLockMs = 2000;
constexpr std::size_t kMaxRootBytes = 3000;  // paths of a pod must stay below PATH_MAX

Result<std::string> clean_root(const std::string& path, std::string_view what) {
  ASSIGN_OR_RETURN(std::string clean, clean_path(path, what));
  if (clean.size() > kMaxRootBytes) return Error(Errc::kInvalidArgument, std::string(what) + " is too long a path");
  return clean;
}

// The sandbox's pid is not known before it runs.
void name_pod_namespaces(oci::Config& config) {
  for (oci::Namespace& ns : config.linux->namespaces) {
    if (ns.path == "pod:") ns.path = "/proc/SANDBOX/ns/" + (ns.type == "network" ? std::string("net") : ns.type);
  }
}

}  // namespace

Result<Engine> Engine::open(EngineOptions options) {
  ASSIGN_OR_RETURN(options.root, clean_root(options.root, "root directory"));
  ASSIGN_OR_RETURN(options.run_root, clean_root(options.run_root, "run root directory"));
  if (options.cgroup_parent.empty() || options.cgroup_parent == EngineOptions().cgroup_parent) {
    options.cgroup_parent = derive_cgroup_parent(options.run_root);
  }
  ASSIGN_OR_RETURN(options.cgroup_parent, clean_path(options.cgroup_parent, "parent cgroup"));
  RETURN_IF_ERROR(make_layout(Layout(options)));
  log::step("engine", [&] {
    return log::Fields{
        {"root", options.root}, {"run_root", options.run_root}, {"cgroup_parent", options.cgroup_parent}};
  });
  return Engine(std::move(options));
}

Result<Engine> Engine::open_for_images(EngineOptions options) {
  ASSIGN_OR_RETURN(options.root, clean_root(options.root, "root directory"));
  // Looked at by the ids of the machine, where that can be told.
  RETURN_IF_ERROR(image::check_store_owner(Layout(options).images()));
  log::step("engine", [&] { return log::Fields{{"root", options.root}, {"for", "images"}}; });
  return Engine(std::move(options));
}

Result<image::Store> Engine::images() const {
  return image::Store::open(Layout(options_).images());
}

Result<PodUuid> Engine::prepare(const PodRequest& request, const FetchImage& fetch) {
  ASSIGN_OR_RETURN(PreparedPod prepared, prepare_pod(options_, request, fetch));
  ScopeExit undo([&] { discard_pod(options_, prepared.pod); });
  // Finds out now what a run would refuse.
  auto launch = build_launch(options_, prepared.manifest, Place::kRun);
  if (!launch.ok()) return std::move(launch).error();
  RETURN_IF_ERROR(flush_pod(Layout(options_), prepared.pod, !prepared.manifest.id_maps.empty()));
  RETURN_IF_ERROR(move_pod(Layout(options_), prepared.pod, Place::kPrepared, io::Durability::kFsync));
  undo.dismiss();
  return prepared.manifest.uuid;
}

Result<RunResult> Engine::run(const PodRequest& request, const monitor::LaunchOptions& options,
                              const FetchImage& fetch) {
  ASSIGN_OR_RETURN(PreparedPod prepared, prepare_pod(options_, request, fetch));
  ScopeExit undo([&] { discard_pod(options_, prepared.pod); });
  ASSIGN_OR_RETURN(stage1::Launch launch, build_launch(options_, prepared.manifest, Place::kRun));
  // Not flushed here: until the app runs, a power cut may as well find no pod. start_pod() flushes those that are kept.
  RETURN_IF_ERROR(move_pod(Layout(options_), prepared.pod, Place::kRun, io::Durability::kNone));
  undo.dismiss();
  return start_pod(options_, std::move(prepared), std::move(launch), options,
                   request.remove_failed_start ? OnFailure::kRemove : OnFailure::kKeep);
}

Result<RunResult> Engine::run_prepared(const PodUuid& uuid, const monitor::LaunchOptions& options) {
  const Layout layout(options_);
  ASSIGN_OR_RETURN(OpenPod pod, open_pod(layout, uuid));
  const auto wrong_state = [&] {
    return Error(Errc::kWrongState, "pod " + quoted(uuid.str()) + " is not prepared").with_hint("a pod runs only once");
  };
  if (pod.place != Place::kPrepared) return wrong_state();
  RETURN_IF_ERROR(lock_pod(layout, pod, kStartLockMs));
  if (pod.place != Place::kPrepared) return wrong_state();
  ASSIGN_OR_RETURN(PodManifest manifest, read_manifest(pod.dir));
  ASSIGN_OR_RETURN(stage1::Launch launch, build_launch(options_, manifest, Place::kRun));
  RETURN_IF_ERROR(move_pod(layout, pod, Place::kRun, io::Durability::kFsync));
  return start_pod(options_, {std::move(pod), std::move(manifest)}, std::move(launch), options);
}

Result<std::vector<container::Plan>> Engine::plan(const PodRequest& request) {
  ASSIGN_OR_RETURN(const PodManifest manifest, plan_pod(options_, request));
  ASSIGN_OR_RETURN(stage1::Launch launch, build_launch(options_, manifest, Place::kRun));
  const Layout layout(options_);
  container::Factory factory({layout.containers(), false});
  std::vector<container::Plan> out;
  const auto add = [&](monitor::AppSpec& spec) -> Status {
    name_pod_namespaces(spec.config);
    ASSIGN_OR_RETURN(container::Plan plan, factory.plan(spec.config, spec.create));
    out.push_back(std::move(plan));
    return {};
  };
  if (launch.sandbox) RETURN_IF_ERROR(add(*launch.sandbox));
  for (monitor::AppSpec& spec : launch.apps) RETURN_IF_ERROR(add(spec));
  return out;
}

}  // namespace cooper::pod
