#include "conmon/program_child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "io/file.h"
#include "monitor/process_setup.h"
#include "sys/cred.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cooper::conmon {
namespace {

constexpr int kNotExecuted = 127;

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  out.reserve(words.size() + 1);
  for (std::string& word : words) out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

bool set_streams(const Program& program, BorrowedFd null) {
  const BorrowedFd streams[] = {program.in, program.out, program.err};
  for (int number = 0; number < 3; ++number) {
    const BorrowedFd from = streams[number].valid() ? streams[number] : null;
    if (::dup2(from.get(), number) < 0) return false;
  }
  return true;
}

[[noreturn]] void run_child(const Program& program, BorrowedFd null, std::vector<std::string>& argv,
                            std::vector<std::string>& env) {
  if (program.dies_with_us) (void)!sys::set_parent_death_signal(SIGKILL).ok();
  if (!program.oom_score_adj.empty())
    (void)!io::write_existing(sys::kCwd, "/proc/self/oom_score_adj", program.oom_score_adj).ok();
  if (!program.keeps_stdio && !set_streams(program, null)) ::_exit(kNotExecuted);
  if (program.replaces_listen_pid) {
    for (std::string& entry : env) {
      if (entry.starts_with("LISTEN_PID=")) entry = "LISTEN_PID=" + std::to_string(::getpid());
    }
  }
  monitor::reset_signals();
  ::execvpe(argv[0].c_str(), pointers(argv).data(), pointers(env).data());
  const std::string text = "execute " + argv[0] + ": " + describe_errno(errno) + "\n";
  (void)!sys::write_all(BorrowedFd(STDERR_FILENO), text).ok();
  ::_exit(kNotExecuted);
}

}  // namespace

Result<pid_t> start_program(const Program& program) {
  COOPER_ASSERT(!program.argv.empty());
  std::vector<std::string> argv = program.argv;
  std::vector<std::string> env = program.env;
  ASSIGN_OR_RETURN(const UniqueFd null, sys::openat(sys::kCwd, "/dev/null", O_RDWR));
  ASSIGN_OR_RETURN(const sys::Cloned child, sys::clone3(0));
  if (child.pid == 0) run_child(program, null, argv, env);
  return child.pid;
}

}  // namespace cooper::conmon
