// cooper-init as its users see it: an ordinary child process here, process 1 of a PID namespace in the integration
// tests.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "io/file.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cooper {
namespace {

struct Started {
  pid_t pid = 0;
  UniqueFd out;
};

// Runs cooper-init with the arguments, output and errors into `out`. With `early`, all signals are blocked, as cooper
// does it, and that one comes before cooper-init is executed.
Started start(std::vector<std::string> arguments, std::vector<std::string> env = {"PATH=/usr/bin:/bin"},
              int early = 0) {
  auto pipe = sys::pipe2();
  EXPECT_TRUE(pipe.ok());
  arguments.insert(arguments.begin(), "cooper-init");
  const pid_t pid = ::fork();
  if (pid == 0) {
    (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
    // A shell's job in the background has these ignored, and so would have what it starts.
    (void)::signal(SIGINT, SIG_DFL);
    (void)::signal(SIGQUIT, SIG_DFL);
    (void)::prctl(PR_SET_CHILD_SUBREAPER, 1);  // survives the exec: orphans come to it, as they do to process 1
    (void)::dup2(pipe->write.get(), 1);
    (void)::dup2(pipe->write.get(), 2);
    if (early != 0) {
      sigset_t all;
      (void)::sigfillset(&all);
      (void)::sigprocmask(SIG_SETMASK, &all, nullptr);
      (void)::raise(early);
    }
    std::vector<char*> argv, envp;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    for (std::string& variable : env) envp.push_back(variable.data());
    argv.push_back(nullptr);
    envp.push_back(nullptr);
    (void)::execve(COOPER_INIT, argv.data(), envp.data());
    ::_exit(99);
  }
  return {pid, std::move(pipe->read)};
}

struct Finished {
  int status = -1;
  int signal = 0;
  std::string out;
};
Finished finish(Started started) {
  Finished out;
  out.out = io::read_all(started.out, 1 << 20).value_or("(error)");
  const auto ended = sys::waitpid(started.pid);
  EXPECT_TRUE(ended.ok());
  out.status = ended->code;
  out.signal = ended->signal;
  return out;
}
Finished run(std::vector<std::string> arguments, std::vector<std::string> env = {"PATH=/usr/bin:/bin"}) {
  return finish(start(std::move(arguments), std::move(env)));
}
std::string read_line(const Started& started) {
  std::string line;
  char c = 0;
  while (::read(started.out.get(), &c, 1) == 1 && c != '\n') line += c;
  return line;
}

// Until the process waits for signals: before that it is still this test program, or has not blocked them yet.
void await_ready(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/status";
  for (int i = 0; i < 1000; ++i) {
    const std::string status = io::read_file(path).value_or("");
    if (status.find("Name:\tcooper-init\n") != std::string::npos && status.find("State:\tS") != std::string::npos)
      return;
    ::usleep(1000);
  }
  FAIL() << "cooper-init does not come to rest";
}

TEST(CooperInit, IsSmall) {
  struct stat info = {};
  ASSERT_EQ(::stat(COOPER_INIT, &info), 0);
  EXPECT_LT(info.st_size, 100 << 10);
}

TEST(CooperInit, EndsAsItsCommandEnds) {
  EXPECT_EQ(run({"run", "--", "true"}).status, 0);
  EXPECT_EQ(run({"run", "--", "/bin/sh", "-c", "exit 7"}).status, 7);
  EXPECT_EQ(run({"run", "--", "sh", "-c", "kill -TERM $$"}).status, 143);
  EXPECT_EQ(run({"run", "--", "sh", "-c", "kill -KILL $$"}).status, 137);
  EXPECT_EQ(run({"run", "--", "echo", "a", "b c", ""}).out, "a b c \n");
}

TEST(CooperInit, LooksForItsCommandInPath) {
  EXPECT_EQ(run({"run", "--", "no-such-program"}).status, 127);
  EXPECT_EQ(run({"run", "--", "no-such-program"}).out,
            "cooper-init: cannot run 'no-such-program': no such file or directory, or its interpreter is missing\n");
  EXPECT_EQ(run({"run", "--", "/nowhere/at/all"}).status, 127);
  EXPECT_EQ(run({"run", "--", ""}).status, 127);
  EXPECT_EQ(run({"run", "--", "/etc/passwd"}).status, 126);
  EXPECT_EQ(run({"run", "--", "/etc"}).status, 126);
  EXPECT_EQ(run({"run", "--", "sh", "-c", "exit 3"}, {}).status, 3);
  EXPECT_EQ(run({"run", "--", "sh", "-c", "exit 3"}, {"PATH=/nowhere:" + std::string(5000, 'x') + "::/etc/passwd:/bin"})
                .status,
            3);
  EXPECT_EQ(run({"run", "--", "passwd"}, {"PATH=/etc"}).status, 126);
}

TEST(CooperInit, HandsTheEnvironmentOn) {
  EXPECT_EQ(run({"run", "--", "env"}, {"PATH=/usr/bin", "A=1", "B=x y"}).out, "PATH=/usr/bin\nA=1\nB=x y\n");
}

TEST(CooperInit, PassesSignalsOn) {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT, SIGRTMIN + 1}) {
    SCOPED_TRACE(signal);
    Started started = start({"run", "--", "/bin/sh", "-c",
                             "trap 'exit 9' " + std::to_string(signal) + "; echo ready; while :; do sleep 0.01; done"});
    ASSERT_EQ(read_line(started), "ready");
    ASSERT_EQ(::kill(started.pid, signal), 0);
    EXPECT_EQ(finish(std::move(started)).status, 9);
  }
}

TEST(CooperInit, CommandStartsWithNothingBlocked) {
  const std::string out = run({"run", "--", "grep", "SigBlk", "/proc/self/status"}).out;
  EXPECT_EQ(out, "SigBlk:\t0000000000000000\n");
  const Finished blocked =
      finish(start({"run", "--", "grep", "SigBlk", "/proc/self/status"}, {"PATH=/usr/bin:/bin"}, SIGCONT));
  EXPECT_EQ(blocked.out, "SigBlk:\t0000000000000000\n");
}

TEST(CooperInit, SignalsFromBeforeItsStartArePassedOn) {
  EXPECT_EQ(finish(start({"run", "--", "sleep", "100"}, {"PATH=/usr/bin:/bin"}, SIGTERM)).status, 143);
}

TEST(CooperInit, ReapsOrphans) {
  Started started =
      start({"run", "--", "sh", "-c",
             "sh -c 'sleep 0.05 & sleep 0.05 &'; echo ready; sleep 0.3; ps -o stat= --ppid $PPID; echo end"});
  ASSERT_EQ(read_line(started), "ready");
  const Finished finished = finish(std::move(started));
  EXPECT_EQ(finished.out.find('Z'), std::string::npos) << finished.out;
  EXPECT_EQ(finished.status, 0);
}

TEST(CooperInit, CommandLeadsTheForegroundGroupOfATerminal) {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  ASSERT_GE(master, 0);
  ASSERT_EQ(::grantpt(master), 0);
  ASSERT_EQ(::unlockpt(master), 0);
  const std::string name = ::ptsname(master);
  const pid_t pid = ::fork();
  if (pid == 0) {
    (void)::setsid();
    const int slave = ::open(name.c_str(), O_RDWR);
    (void)::ioctl(slave, TIOCSCTTY, 0);
    for (int fd = 0; fd < 3; ++fd) (void)::dup2(slave, fd);
    (void)::execl(COOPER_INIT, "cooper-init", "run", "--", "/bin/sh", "-c",
                  "trap 'exit 5' INT; echo ready; while :; do sleep 0.01; done", nullptr);
    ::_exit(99);
  }
  std::string text;
  char buffer[256];
  while (text.find("ready") == std::string::npos) {
    const ssize_t n = ::read(master, buffer, sizeof buffer);
    ASSERT_GT(n, 0);
    text.append(buffer, static_cast<std::size_t>(n));
  }
  // Ctrl-C goes to the foreground group: the command's, not ours.
  ASSERT_EQ(::write(master, "\x03", 1), 1);
  EXPECT_EQ(sys::waitpid(pid)->code, 5);
  (void)::close(master);
}

TEST(CooperInit, PauseEndsOnSigtermAndSigintOnly) {
  for (const int signal : {SIGTERM, SIGINT}) {
    Started started = start({"pause"});
    await_ready(started.pid);
    for (const int harmless : {SIGHUP, SIGUSR1, SIGUSR2, SIGQUIT, SIGPIPE, SIGALRM})
      ASSERT_EQ(::kill(started.pid, harmless), 0);
    ::usleep(20000);
    ASSERT_FALSE(sys::try_waitpid(started.pid)->has_value());
    ASSERT_EQ(::kill(started.pid, signal), 0);
    const Finished finished = finish(std::move(started));
    EXPECT_EQ(finished.status, 0);
    EXPECT_EQ(finished.signal, 0);
  }
}

TEST(CooperInit, RefusesWrongUsage) {
  EXPECT_EQ(run({}).status, 125);
  EXPECT_EQ(run({"pause", "x"}).status, 125);
  EXPECT_EQ(run({"run"}).status, 125);
  EXPECT_EQ(run({"run", "--"}).status, 125);
  EXPECT_EQ(run({"run", "true"}).status, 125);
  EXPECT_EQ(run({"nonsense"}).out.substr(0, 6), "usage:");
  EXPECT_EQ(run({"--help"}).status, 0);
  EXPECT_EQ(run({"--version"}).out.substr(0, 12), "cooper-init ");
}

}  // namespace
}  // namespace cooper
