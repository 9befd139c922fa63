// Shared by the files of this room only.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "container/container.h"

namespace cooper::container {

Status send_pidfd(const std::string& socket_path, pid_t pid);
Status write_pid_file(const std::string& path, pid_t pid);
Status check_preserved_fds(int count);
// Of the child `pid`, which is in a new user namespace.
Status write_id_maps(pid_t pid, const std::vector<oci::IdMapping>& uid, const std::vector<oci::IdMapping>& gid);
Status check_rootfs(const std::string& rootfs);
Status run_poststart(const oci::Config& config, const StateRecord& record);
// After everything is gone; each runs whatever the others did (runtime specification: failures are warned about).
void run_poststop(const oci::Config& spec, const oci::State& state);

}  // namespace cooper::container
