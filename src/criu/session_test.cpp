#include "criu/session.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

namespace cooper::criu {
namespace {

// A program in the place of criu, which talks to nobody.
class CriuSession : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/criu.XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
  }
  void TearDown() override {
    (void)::unlink((dir_ + "/criu").c_str());
    (void)::rmdir(dir_.c_str());
  }
  std::string program(const std::string& script) {
    std::string path = dir_ + "/criu";
    std::ofstream(path) << "#!/bin/sh\n" << script << "\n";
    (void)::chmod(path.c_str(), 0755);
    return path;
  }
  std::string dir_;
};

TEST_F(CriuSession, SaysHowCriuEnded) {
  SessionOptions options;
  options.program = program("exit 3");
  auto session = Session::start(options);
  ASSERT_TRUE(session.ok()) << session.error().message();
  const auto version = session->version();
  ASSERT_FALSE(version.ok());
  EXPECT_EQ(version.error().message(), "criu ended without an answer (exit status 3)");
}

TEST_F(CriuSession, SaysWhatKilledCriu) {
  SessionOptions options;
  options.program = program("kill -SEGV $$");
  auto session = Session::start(options);
  ASSERT_TRUE(session.ok());
  const auto version = session->version();
  ASSERT_FALSE(version.ok());
  EXPECT_EQ(version.error().message(), "criu was killed by SIGSEGV");
}

TEST_F(CriuSession, SeesItsEndWhenOthersHoldTheSocket) {
  SessionOptions options;
  const std::string other = dir_ + "/other";
  options.program = program("sleep 1000 >/dev/null 2>&1 & echo $! >" + other + "; kill -KILL $$");
  auto session = Session::start(options);
  ASSERT_TRUE(session.ok()) << session.error().message();
  const auto version = session->version();
  pid_t pid = 0;
  std::ifstream(other) >> pid;
  if (pid > 0) (void)::kill(pid, SIGKILL);
  (void)::unlink(other.c_str());
  ASSERT_FALSE(version.ok());
  EXPECT_EQ(version.error().message(), "criu was killed by SIGKILL");
}

TEST_F(CriuSession, PassesDirectoriesDescriptorsAndStreamsOnly) {
  SessionOptions options;
  options.program = program(
      "cd /proc/$$/fd && [ \"$1 $2\" = 'swrk 3' ] && [ -S 3 ] && [ 4 -ef / ] && [ -c 5 ] && [ ! -e 6 ] && [ ! -e 7 ]");
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  options.directories = {"/"};
  options.passed = {null};
  auto session = Session::start(options);
  (void)::close(null);
  ASSERT_TRUE(session.ok()) << session.error().message();
  const auto version = session->version();
  ASSERT_FALSE(version.ok());
  EXPECT_EQ(version.error().message(), "criu ended without an answer (exit status 0)");
}

TEST_F(CriuSession, SaysWhichDirectoryIsMissing) {
  SessionOptions options;
  options.program = program("exit 0");
  options.directories = {dir_ + "/missing"};
  const auto session = Session::start(options);
  ASSERT_FALSE(session.ok());
  EXPECT_EQ(session.error().errno_value(), ENOENT);
  EXPECT_NE(session.error().message().find("/missing"), std::string::npos);
}

TEST_F(CriuSession, SaysWhyCriuCannotRun) {
  SessionOptions options;
  options.program = dir_ + "/criu";
  const auto session = Session::start(options);
  ASSERT_FALSE(session.ok());
  EXPECT_EQ(session.error().errno_value(), ENOENT);
}

TEST(CriuLog, TellsTheLastErrors) {
  EXPECT_EQ(
      last_errors("(00.1) a\n(00.2) Error (criu/a.c:1): one\n(00.3) Error (criu/b.c:2): two: three\n(00.4) bye\n"),
      "one; two: three");
  EXPECT_EQ(last_errors("Error (criu/a.c:1): 1\nError (criu/a.c:1): 2\nError (criu/a.c:1): 3\nError (criu/a.c:1): 4\n"),
            "2; 3; 4");
  EXPECT_EQ(last_errors("first\nlast\n\n"), "last");
  EXPECT_EQ(last_errors(""), "");
  EXPECT_EQ(last_errors("Error (" + std::string(1000, 'x')).size(), 200U);
}

}  // namespace
}  // namespace cooper::criu
