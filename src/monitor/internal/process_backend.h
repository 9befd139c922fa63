// For unit tests: a backend whose "containers" are plain child processes of this machine, without any privilege. What
// exists of a container is a file named after it in `dir`, so that leaks show.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <map>
#include <string>
#include <vector>

#include "io/file.h"
#include "monitor/internal/backend.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cooper::monitor::internal {

class ProcessBackend final : public Backend {
 public:
  explicit ProcessBackend(std::string dir) : dir_(std::move(dir)) {}

  int create_delay_ms = 0;
  std::string fail_id;  // create() of this one fails

  Result<container::Created> create(const oci::Config& config, const container::CreateOptions& options) override {
    if (create_delay_ms != 0) (void)::poll(nullptr, 0, create_delay_ms);
    if (options.id == fail_id) {
      return Error(Errc::kNotFound, "executable 'nothing' was not found", ENOENT).with_hint("check the command");
    }
    RETURN_IF_ERROR(io::write_file_atomic(dir_ + "/" + options.id, "x"));
    UniqueFd master, slave;
    if (options.keep_console) {
      master.reset(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
      (void)::grantpt(master.get());
      (void)::unlockpt(master.get());
      slave.reset(::open(::ptsname(master.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
    }
    ASSIGN_OR_RETURN(sys::Pipe gate, sys::pipe2());
    const pid_t pid = ::fork();
    if (pid == 0) child(config, options, slave.get(), options.detach_start ? gate.read.get() : -1);
    if (pid < 0) return Error::from_errno(errno, "fork");
    processes_[options.id] = pid;
    if (options.detach_start) gates_[options.id] = std::move(gate.write);
    container::Created out;
    out.pid = pid;
    ASSIGN_OR_RETURN(out.pidfd, sys::pidfd_open(pid));
    out.console = std::move(master);
    return out;
  }

  Status start(const std::string& id) override {
    if (const auto gate = gates_.find(id); gate != gates_.end()) {
      RETURN_IF_ERROR(sys::write_all(gate->second, "x"));
      gates_.erase(gate);
    }
    return {};
  }

  Status kill_all(const std::string& id) override {
    if (const auto found = processes_.find(id); found != processes_.end()) (void)::kill(-found->second, SIGKILL);
    return {};
  }
  bool oom_killed(const std::string&) override { return false; }
  Status destroy(const std::string& id) override { return io::remove_tree(sys::kCwd, dir_ + "/" + id); }
  Status remove_cgroup(const std::string& path) override {
    return io::write_file_atomic(dir_ + "/../cgroup-removed", path);
  }

 private:
  [[noreturn]] static void child(const oci::Config& config, const container::CreateOptions& options, int terminal,
                                 int gate) {
    (void)::setsid();
    (void)::prctl(PR_SET_PDEATHSIG, options.parent_death_signal);
    const int in = terminal >= 0 ? terminal : options.stdio.in;
    const int out = terminal >= 0 ? terminal : options.stdio.out;
    const int err = terminal >= 0 ? terminal : options.stdio.err;
    char byte = 0;
    if (gate >= 0 && ::read(gate, &byte, 1) != 1) ::_exit(99);
    if (terminal >= 0) (void)::ioctl(terminal, TIOCSCTTY, 0);
    (void)::dup2(in, 0);
    (void)::dup2(out, 1);
    (void)::dup2(err, 2);
    std::vector<char*> args;
    for (const std::string& arg : config.process->args) args.push_back(const_cast<char*>(arg.c_str()));
    args.push_back(nullptr);
    // glibc takes the first of a name.
    std::vector<char*> env;
    for (const std::string& entry : config.process->env) env.push_back(const_cast<char*>(entry.c_str()));
    for (char** inherited = environ; *inherited != nullptr; ++inherited) env.push_back(*inherited);
    env.push_back(nullptr);
    (void)::execvpe(args[0], args.data(), env.data());
    ::_exit(127);
  }

  std::string dir_;
  std::map<std::string, pid_t> processes_;
  std::map<std::string, UniqueFd> gates_;
};

}  // namespace cooper::monitor::internal
