// linux.netDevices: interfaces of the host that become the container's.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "container/plan.h"
#include "spec/oci_runtime/types.h"

namespace cooper::container {

Status check_net_devices(const oci::Config& config, std::string_view pointer);

// Interfaces that have been moved, so that a start that fails can give them back: the kernel would end virtual ones
// together with the namespace.
class MovedNetDevices {
 public:
  // Into the network namespace of `pid`, or the one at step.path. What was moved before a failure is remembered.
  Status move(const MoveNetDevices& step, pid_t pid);
  // Back under their old names. Does what it can.
  void give_back();

 private:
  struct Moved {
    std::string host_name, name;
  };
  UniqueFd own_namespace_, host_, inside_;
  std::vector<Moved> moved_;
};

}  // namespace cooper::container
