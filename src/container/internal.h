// Shared by the files of this room only.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "container/container.h"
#include "container/plan.h"
#include "container/record_file.h"
#include "container/state.h"

namespace cooper::container {

Status send_pidfd(const std::string& socket_path, pid_t pid);
// The socket that --console-socket names, and the master of the terminal into it.
Result<UniqueFd> connect_console(const std::string& socket_path);
Status send_console(BorrowedFd socket, BorrowedFd master);
Status write_pid_file(const std::string& path, pid_t pid);
Status check_preserved_fds(int count);
// As root of the user namespace that this process is in, unless its maker gave setgroups up (user_namespaces(7)).
bool may_set_groups();
// Path of the user namespace that is joined; empty: none.
std::string joined_user_namespace(const Plan& plan);
// Its number in the /proc in view, whatever PID namespace the caller is in.
Result<pid_t> pid_in_proc(BorrowedFd pidfd);
Error not_running(const StateRecord& record, RunStatus status);
Error stopped_meanwhile(const StateRecord& record);
// Parts of a create.
std::string absolute_rootfs(const oci::Config& config, const std::string& bundle);
std::string planned_cgroup(const Plan& plan);
// What the first steps will make outside of the container, for whoever has to remove it when the creator is killed.
void note_what_will_be_made(const Plan& plan, StateRecord& record);
// The new container's record, locked. Errors: kAlreadyExists.
Result<RecordFile> make_record(const StatePaths& paths);
// Of a container that came to nothing, or has gone.
Status remove_state(const StatePaths& paths);
Status remove_state(const StatePaths& paths, const RecordFile& file);
// What only somebody with the init's pid, or time to spare, can say.
Status complete_record(const oci::Config& config, pid_t pid, StateRecord& record);
Status check_rootfs(const std::string& rootfs);
// Whether a failure is one of the start depends on the version of the configuration.
Status run_poststart(const oci::Config& config, const StateRecord& record);
// After everything is gone.
void run_poststop(const oci::Config& spec, const oci::State& state);

}  // namespace cooper::container
