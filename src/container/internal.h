// Shared by the files of this room only.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "container/container.h"
#include "container/plan.h"
#include "container/state.h"

namespace cooper::container {

Status send_pidfd(const std::string& socket_path, pid_t pid);
Status write_pid_file(const std::string& path, pid_t pid);
Status check_preserved_fds(int count);
// Of the child `pid`, which is in a new user namespace.
Status write_id_maps(pid_t pid, const std::vector<oci::IdMapping>& uid, const std::vector<oci::IdMapping>& gid);
Error not_running(const StateRecord& record, RunStatus status);
// Parts of a create.
std::string absolute_rootfs(const oci::Config& config, const std::string& bundle);
std::string planned_cgroup(const Plan& plan);
// What the first steps will make outside of the container, for whoever has to remove it when the creator is killed.
void note_what_will_be_made(const Plan& plan, StateRecord& record);
// Exclusive mkdir is the lock against a second create of the id.
Status make_state_directory(const std::string& root, const StatePaths& paths, const std::string& id);
// What only somebody with the init's pid, or time to spare, can say.
Status complete_record(const oci::Config& config, pid_t pid, StateRecord& record);
Status check_rootfs(const std::string& rootfs);
Status run_poststart(const oci::Config& config, const StateRecord& record);
// After everything is gone; each runs whatever the others did (runtime specification: failures are warned about).
void run_poststop(const oci::Config& spec, const oci::State& state);

}  // namespace cooper::container
