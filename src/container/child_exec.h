// Zone S: collects what the last mile needs, as flat memory that stays put until execve.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "container/exec_lastmile.h"
#include "container/plan.h"
#include "io/root_dir.h"
#include "seccomp/seccomp.h"

namespace cooper::container {

Status apply_scheduler(const SetScheduler& step);

class ExecPreparation {
 public:
  // Opens /proc/self/attr/... while the host's own /proc is still in view.
  Status open_labels(const Plan& plan);
  // .../attr/keycreate, when the plan labels the session keyring.
  BorrowedFd key_label_fd() const { return key_label_fd_; }
  // Resolves args[0] in the container's PATH. The words of a failure are what callers of a runtime look for:
  // "executable file not found in $PATH", "no such file or directory", "permission denied", "is a directory".
  Status find_executable(const Plan& plan, const io::RootDir& root);
  // Makes the working directory when it is missing.
  Status prepare_cwd(const Plan& plan, const io::RootDir& root);
  // Locks a file of the container for reading; it stays open.
  Result<BorrowedFd> lock_file(const std::string& path, const io::RootDir& root);
  // What process 1 holds: `more`, and the locks.
  std::vector<int> held(std::vector<int> more) const;
  Status set_rlimits(const SetRlimits& step);
  void set_seccomp(const seccomp::Program* program) { seccomp_ = program; }
  void set_landlock(UniqueFd ruleset) { landlock_ = std::move(ruleset); }
  Status set_credentials(const SetCredentials& step);
  // Adds HOME from the container's passwd file when the environment has none.
  Result<ExecPlan> finish(const Exec& step, const io::RootDir& root);

 private:
  Status choose_cwd(const std::vector<std::string>& candidates, const io::RootDir& root);
  UniqueFd label_fd_;
  UniqueFd key_label_fd_;
  UniqueFd landlock_;
  std::vector<UniqueFd> locks_;
  std::string label_;
  std::string executable_;
  std::vector<LastMileRlimit> rlimits_;
  std::vector<std::string> rlimit_texts_;
  const seccomp::Program* seccomp_ = nullptr;
  SetCredentials credentials_;
  std::vector<std::string> args_, env_;
  std::vector<char*> argv_, envp_;
  std::string cwd_;
  std::string chosen_cwd_;  // of several
};

}  // namespace cooper::container
