#include "cgroup/cgroup.h"
#include "io/file.h"
#include "log/steps.h"
#include "monitor/internal/backend.h"

namespace cooper::monitor::internal {
namespace {

std::string joined_types(const std::vector<oci::Namespace>& namespaces) {
  std::string out;
  for (const oci::Namespace& one : namespaces) {
    if (!out.empty()) out += ",";
    out += one.path.empty() ? one.type : one.type + "=" + one.path;
  }
  return out;
}

class ContainerBackend final : public Backend {
 public:
  explicit ContainerBackend(container::FactoryOptions options) : factory_(std::move(options)) {}

  Result<container::Created> create(const oci::Config& config, const container::CreateOptions& options) override {
    log_plan(config, options);
    const log::Stopwatch creating;
    auto created = factory_.create(config, options);
    if (created.ok()) {
      log::step("container created", [&] {
        return log::Fields{{"id", options.id},
                           {"pid", std::to_string(created->pid)},
                           {"state", factory_.options().root + "/" + options.id},
                           {"took_ms", creating.ms()}};
      });
    }
    return created;
  }

  Status start(const std::string& id) override {
    ASSIGN_OR_RETURN(container::Container loaded, factory_.load(id));
    return loaded.start();
  }

  Status kill_all(const std::string& id) override {
    ASSIGN_OR_RETURN(container::Container loaded, factory_.load(id));
    return loaded.kill(SIGKILL, true);
  }

  // Asked of the cgroup itself: the container is stopped, its numbers are still there.
  bool oom_killed(const std::string& id) override {
    const auto loaded = factory_.load(id);
    if (!loaded.ok() || loaded->record().cgroup_path.empty()) return false;
    const auto layout = cgroup::probe_layout();
    if (!layout.ok()) return false;
    const auto group = cgroup::Group::open(*layout, loaded->record().cgroup_path);
    if (!group.ok()) return false;
    const auto stats = cgroup::read_stats(*group);
    return stats.ok() && stats->oom_kills > 0;
  }

  Status destroy(const std::string& id) override {
    auto loaded = factory_.load(id);
    Status destroyed;
    if (loaded.ok()) {
      destroyed = loaded->destroy(true);
      if (destroyed.ok()) return {};
    } else if (loaded.error().code() != Errc::kNotFound) {
      destroyed = std::move(loaded).error();
    }
    // No record, or one that cannot be read: the creator was killed half-way. Nothing but the directory can be left
    // (namespaces and mounts end with their processes; the cgroup goes with the pod's).
    const auto root = sys::openat(sys::kCwd, factory_.options().root, O_RDONLY | O_DIRECTORY);
    if (root.ok()) {
      if (Status removed = io::remove_tree(*root, id); !removed.ok()) return removed;
    }
    return destroyed;
  }

  Status remove_cgroup(const std::string& path) override {
    ASSIGN_OR_RETURN(const cgroup::Layout layout, cgroup::probe_layout());
    auto group = cgroup::Group::open(layout, path);
    if (!group.ok()) {
      if (group.error().code() == Errc::kNotFound) return {};
      return std::move(group).error();
    }
    if (auto left = group->processes(); left.ok() && !left->empty()) RETURN_IF_ERROR(group->kill_all(SIGKILL));
    return group->remove();
  }

 private:
  // Decided a second time for it: the start itself decides once.
  void log_plan(const oci::Config& config, const container::CreateOptions& options) {
    log::step("runtime plan", [&] {
      const auto plan = factory_.plan(config, options);
      log::Fields fields{{"id", options.id}};
      if (plan.ok()) fields.emplace_back("steps", std::to_string(plan->steps.size()));
      if (config.linux) {
        fields.emplace_back("cgroup", config.linux->cgroups_path);
        fields.emplace_back("namespaces", joined_types(config.linux->namespaces));
        fields.emplace_back("seccomp", config.linux->seccomp ? "filter" : "none");
      }
      fields.emplace_back("mounts", std::to_string(config.mounts.size()));
      fields.emplace_back("rootfs", config.root ? config.root->path : "");
      fields.emplace_back("command", config.process && !config.process->args.empty() ? config.process->args[0] : "");
      return fields;
    });
  }

  container::Factory factory_;
};

}  // namespace

std::unique_ptr<Backend> make_container_backend(container::FactoryOptions options) {
  return std::make_unique<ContainerBackend>(std::move(options));
}

}  // namespace cooper::monitor::internal
