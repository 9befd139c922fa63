// The steps of a pod's end that monitor and guardian share.
#pragma once

#include <string>

#include "base/error.h"
#include "base/fd.h"
#include "monitor/monitor.h"

namespace cooper::monitor::internal {

// status/<app> below the pod directory, replaced by rename; the directory is made when missing.
// When the disk is full the space of reserve_exit_record() is used.
Status write_exit_record(BorrowedFd pod_dir, const ExitRecord& record);
// Takes the space for a record ahead of time (status/.<app>.reserve): an app that filled the disk still leaves its exit
// record.
void reserve_exit_record(BorrowedFd pod_dir, const std::string& app);
Result<ExitRecord> read_exit_record(BorrowedFd pod_dir, const std::string& app);
void sync_exit_record(BorrowedFd pod_dir, const std::string& app);
// Best effort: nobody can be told.
void remove_run_dir(const std::string& path);
// Of an app that was not started because another one could not be.
inline constexpr int kNotStartedCode = 125;
// What a shell shows for a command that could not be started: 127 not found, 126 not executable, 125 anything else.
int start_failure_code(const Error& error);

}  // namespace cooper::monitor::internal
