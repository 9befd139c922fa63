// What the monitor asks of the container room, as an interface: unit tests put plain processes behind it and need no
// privileges.
#pragma once

#include <memory>
#include <string>

#include "base/error.h"
#include "container/container.h"

namespace cooper::monitor::internal {

class Backend {
 public:
  virtual ~Backend() = default;
  // Factory::create: the process is a child of the caller, which must be single-threaded.
  virtual Result<container::Created> create(const oci::Config& config, const container::CreateOptions& options) = 0;
  // created -> running, for containers made with detach_start.
  virtual Status start(const std::string& id) = 0;
  // SIGKILL to every process of the container, also of a paused one.
  virtual Status kill_all(const std::string& id) = 0;
  // Whether the kernel's OOM killer ended a process of the container. Asked after the init's end, before destroy().
  virtual bool oom_killed(const std::string& id) = 0;
  // Removes whatever there is of the container: processes, cgroup, state, also of a half-made one. Missing: fine.
  virtual Status destroy(const std::string& id) = 0;
  // Removes the pod's cgroup with all that is in it. Missing: fine.
  virtual Status remove_cgroup(const std::string& path) = 0;
};

std::unique_ptr<Backend> make_container_backend(container::FactoryOptions options);

}  // namespace cooper::monitor::internal
