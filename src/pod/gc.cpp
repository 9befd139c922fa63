// Garbage collection: pods that ended, and whatever processes that were killed left behind.
#include <sys/file.h>
#include <time.h>

#include <set>

#include "base/strings.h"
#include "cgroup/cgroup.h"
#include "log/log.h"
#include "pod/gc_rules.h"
#include "pod/id_ranges.h"
#include "pod/layout.h"
#include "pod/names.h"
#include "pod/pod.h"
#include "pod/remove.h"
#include "pod/state.h"
#include "sys/file.h"

namespace cooper::pod {
namespace {

class Collector {
 public:
  Collector(const EngineOptions& options, const GcOptions& rules)
      : options_(options), rules_(rules), layout_(options) {}

  Result<std::vector<std::string>> run() {
    // Users of trees first: whoever registers one after this already has a pod that is seen below.
    auto users = tree_users();
    collect_embryos();
    for (const Place place : {Place::kPrepare, Place::kPrepared, Place::kRun, Place::kExitedGarbage, Place::kGarbage})
      collect_place(place);
    note("names", stale_names());
    note("ids", stale_id_ranges());
    note("leftovers", leftovers());
    if (users.ok()) note("trees", stale_trees(*users));
    note("control group", parent_cgroup());
    return std::move(actions_);
  }

 private:
  void done(std::string action) { actions_.push_back(std::move(action)); }
  void failed(const std::string& what, const Error& error) { done("failed: " + what + ": " + error.message()); }
  void note(const std::string& what, const Status& status) {
    if (!status.ok()) failed(what, status.error());
  }

  // Nobody makes an embryo while this is held, so an unlocked one is dead.
  void collect_embryos() {
    const auto dir = sys::openat(sys::kCwd, layout_.place(Place::kEmbryo), O_RDONLY | O_DIRECTORY);
    if (!dir.ok() || !sys::flock(*dir, LOCK_EX).ok()) return;
    collect_place(Place::kEmbryo);
  }

  void collect_place(Place place) {
    const auto uuids = list_place(layout_, place);
    if (!uuids.ok()) {
      failed(layout_.place(place), uuids.error());
      return;
    }
    for (const PodUuid& uuid : *uuids) {
      Status collected = collect(uuid, place);
      if (!collected.ok()) failed("pod " + quoted(uuid.str()), collected.error());
    }
  }

  Status collect(const PodUuid& uuid, Place place) {
    ASSIGN_OR_RETURN(auto found, open_pod_at(layout_, uuid, place));
    if (!found) return {};
    OpenPod& pod = *found;
    Status locked = lock_pod(layout_, pod, 0);
    if (!locked.ok()) {
      // Alive, or removed a moment ago.
      if (locked.error().code() == Errc::kBusy || locked.error().code() == Errc::kNotFound) return {};
      return locked;
    }
    if (pod.place != place) return {};  // moved meanwhile: its new place's turn comes
    if (place == Place::kRun) RETURN_IF_ERROR(repair(pod));
    ASSIGN_OR_RETURN(const struct stat info, sys::fstat(pod.dir));
    const auto manifest = read_manifest(pod.dir);
    const GcFacts facts{place, ::time(nullptr) - info.st_ctim.tv_sec, manifest.ok() && manifest->remove_on_exit};
    switch (decide(facts, rules_)) {
      case GcDecision::kKeep:
        return {};
      case GcDecision::kMark:
        return mark(pod);
      case GcDecision::kDelete:
        break;
    }
    return remove(pod, place);
  }

  // Monitor and guardian are both gone. Usually they left nothing.
  Status repair(const OpenPod& pod) {
    ASSIGN_OR_RETURN(const bool cleaned, clean_runtime(options_, pod.uuid));
    if (cleaned) done("repaired pod " + pod.uuid.str() + ": killed and removed what its monitor left");
    const auto manifest = read_manifest(pod.dir);
    if (!manifest.ok()) return {};
    ASSIGN_OR_RETURN(const int written, complete_records(pod, *manifest));
    if (written > 0) done("repaired pod " + pod.uuid.str() + ": wrote " + std::to_string(written) + " exit record(s)");
    return {};
  }

  Status mark(OpenPod& pod) {
    RETURN_IF_ERROR(move_pod(layout_, pod, Place::kExitedGarbage, io::Durability::kFsync));
    done("marked pod " + pod.uuid.str() + " (exited)");
    if (rules_.mark_only || rules_.grace_period_s > 0) return {};
    return remove(pod, Place::kExitedGarbage);
  }

  Status remove(OpenPod& pod, Place place) {
    // A start that was killed after the first container's birth, before the rename could be seen.
    ASSIGN_OR_RETURN(const bool cleaned, clean_runtime(options_, pod.uuid));
    (void)cleaned;
    RETURN_IF_ERROR(delete_pod(options_, pod));
    deleted_.insert(pod.uuid);
    done("deleted pod " + pod.uuid.str() + " (" + std::string(to_string(state_of(place, false))) + ")");
    return {};
  }

  Status stale_names() {
    ASSIGN_OR_RETURN(const auto removed, remove_stale_names(layout_));
    for (const std::string& name : removed) done("freed name " + quoted(name));
    return {};
  }

  Status stale_id_ranges() {
    ASSIGN_OR_RETURN(const auto noted, noted_ranges(layout_));
    for (const NotedRange& one : noted) {
      ASSIGN_OR_RETURN(const bool gone, is_gone(one.uuid));
      if (!gone) continue;
      RETURN_IF_ERROR(forget_range(layout_, one.name));
      done("freed ids " + std::to_string(one.range.first) + " and on of pod " + one.uuid.str());
    }
    return {};
  }

  // True when the pod is gone or only waits to be deleted.
  Result<bool> is_gone(const PodUuid& uuid) {
    auto pod = open_pod(layout_, uuid);
    if (pod.ok()) return pod->place == Place::kGarbage;
    if (pod.error().code() == Errc::kNotFound) return true;
    return std::move(pod).error();
  }

  // Run directories and runtime state whose pod does not exist (its directory was removed by hand, or the disk was
  // exchanged).
  Status leftovers() {
    std::set<PodUuid> candidates;
    for (const std::string& directory : {layout_.run_pods(), layout_.containers()}) {
      ASSIGN_OR_RETURN(const UniqueFd dir, sys::openat(sys::kCwd, directory, O_RDONLY | O_DIRECTORY));
      ASSIGN_OR_RETURN(const auto names, sys::list_directory(dir));
      for (const std::string& name : names) {
        auto uuid = PodUuid::parse(name.substr(0, name.find('_')));
        if (uuid.ok()) candidates.insert(std::move(uuid).value());
      }
    }
    for (const PodUuid& uuid : candidates) {
      ASSIGN_OR_RETURN(const bool gone, is_gone(uuid));
      if (!gone) continue;
      ASSIGN_OR_RETURN(const bool cleaned, clean_runtime(options_, uuid));
      if (cleaned) done("removed what was left of pod " + uuid.str());
    }
    return {};
  }

  using TreeUsers = std::vector<std::pair<std::string, std::string>>;
  Result<TreeUsers> tree_users() {
    ASSIGN_OR_RETURN(const image::Store store, image::Store::open(layout_.images()));
    return store.tree_users();
  }

  Status stale_trees(const TreeUsers& users) {
    ASSIGN_OR_RETURN(image::Store store, image::Store::open(layout_.images()));
    for (const auto& [chain, user] : users) {
      const auto uuid = PodUuid::parse(user);
      if (!uuid.ok() || deleted_.contains(*uuid)) continue;  // somebody else's, or given back already
      ASSIGN_OR_RETURN(const bool gone, is_gone(*uuid));
      if (!gone) continue;
      RETURN_IF_ERROR(store.release_tree(chain, user));
      done("released tree " + chain.substr(0, 12) + " of pod " + user);
    }
    return {};
  }

  // The parent of all pods' cgroups goes when it is empty. Starts hold the run directory's lock shared meanwhile:
  // otherwise one could find its new cgroup's parent gone.
  Status parent_cgroup() {
    ASSIGN_OR_RETURN(const UniqueFd lock, sys::openat(sys::kCwd, layout_.run_pods(), O_RDONLY | O_DIRECTORY));
    if (!sys::flock(lock, LOCK_EX | LOCK_NB).ok()) return {};
    ASSIGN_OR_RETURN(const cgroup::Layout layout, cgroup::probe_layout());
    cgroup::remove_empty_parents(layout, options_.cgroup_parent, "/");
    return {};
  }

  const EngineOptions& options_;
  const GcOptions& rules_;
  Layout layout_;
  std::vector<std::string> actions_;
  std::set<PodUuid> deleted_;
};

}  // namespace

GcDecision decide(const GcFacts& facts, const GcOptions& options) {
  switch (facts.place) {
    case Place::kEmbryo:
    case Place::kPrepare:
    case Place::kGarbage:
      return GcDecision::kDelete;
    case Place::kPrepared:
      return facts.age_s >= options.expire_prepared_s && !options.mark_only ? GcDecision::kDelete : GcDecision::kKeep;
    case Place::kRun:
      return facts.remove_on_exit ? GcDecision::kDelete : GcDecision::kMark;
    case Place::kExitedGarbage:
      return facts.age_s >= options.grace_period_s && !options.mark_only ? GcDecision::kDelete : GcDecision::kKeep;
  }
  return GcDecision::kKeep;
}

Result<std::vector<std::string>> Engine::gc(const GcOptions& options) {
  return Collector(options_, options).run();
}

}  // namespace cooper::pod
