#include "cli/cooper/log_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdio.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/strings.h"
#include "cli/cooper/time_text.h"

namespace cooper::cli {
namespace {

int number(const std::string& text) {
  return parse_number<int>(text).value_or(-1);
}

using testing::ElementsAre;
using testing::IsEmpty;

std::string line(int second, std::string_view stream, std::string_view tag, std::string_view text) {
  char stamp[64];
  (void)snprintf(stamp, sizeof stamp, "2026-01-01T00:00:%02d.000000001Z ", second);
  return std::string(stamp) + std::string(stream) + " " + std::string(tag) + " " + std::string(text) + "\n";
}

TEST(LogLine, Parts) {
  const auto record = parse_log_line("2026-01-01T00:00:01.5Z stderr P some  text ");
  ASSERT_TRUE(record);
  EXPECT_EQ(record->timestamp, "2026-01-01T00:00:01.5Z");
  EXPECT_TRUE(record->to_stderr);
  EXPECT_TRUE(record->partial);
  EXPECT_EQ(record->text, "some  text ");
  EXPECT_EQ(parse_log_line("2026-01-01T00:00:01Z stdout F ")->text, "");
  EXPECT_EQ(parse_log_line("2026-01-01T00:00:01Z stdout F")->text, "");
  EXPECT_EQ(parse_log_line("2026-01-01T00:00:01Z stdout F:x y")->text, "y");
}

TEST(LogLine, Nonsense) {
  for (const char* text :
       {"", "x", "2026-01-01T00:00:01Z", "2026-01-01T00:00:01Z stdout", "2026-01-01T00:00:01Z stdlog F x",
        "2026-01-01T00:00:01Z stdout X x", "torn 2026-01-01T00:00:01Z stdout F x"}) {
    EXPECT_FALSE(parse_log_line(text)) << text;
  }
}

class LogFiles : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "logsXXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(directory_ + "/" + name, std::ios::app | std::ios::binary) << text;
    return directory_ + "/" + name;
  }
  LogSink sink() {
    return [this](const LogRecord& record) -> Status {
      got_.push_back((record.to_stderr ? "E:" : "") + std::string(record.text) + (record.partial ? "+" : ""));
      return {};
    };
  }
  std::vector<std::string> tail(const std::vector<std::string>& files, std::uint64_t n, LogSelection selection = {}) {
    got_.clear();
    selection.tail = n;
    const auto read = read_logs(files, selection, sink());
    EXPECT_TRUE(read.ok());
    return got_;
  }

  std::string directory_;
  std::vector<std::string> got_;
};

TEST_F(LogFiles, AllFilesInOrder) {
  const std::vector<std::string> files = {
      directory_ + "/a.log.3", write("a.log.2", line(1, "stdout", "F", "one")),
      write("a.log", line(2, "stderr", "P", "tw") + line(2, "stderr", "F", "o") + "garbage\n" +
                         line(3, "stdout", "F", "torn").substr(0, 40))};
  ASSERT_TRUE(read_logs(files, {}, sink()).ok());
  EXPECT_THAT(got_, ElementsAre("one", "E:tw+", "E:o"));
}

TEST_F(LogFiles, SinceAndUntilAreInclusive) {
  const std::vector<std::string> files = {
      write("a.log", line(1, "stdout", "F", "1") + line(2, "stdout", "F", "2") + line(3, "stdout", "F", "3"))};
  LogSelection selection;
  selection.since_ns = selection.until_ns = parse_rfc3339_ns("2026-01-01T00:00:02.000000001Z");
  ASSERT_TRUE(read_logs(files, selection, sink()).ok());
  EXPECT_THAT(got_, ElementsAre("2"));
  EXPECT_THAT(tail(files, 1, {std::nullopt, selection.until_ns, std::nullopt}), ElementsAre("2"));
}

TEST_F(LogFiles, TailCountsWholeLines) {
  const std::vector<std::string> files = {write("a.log.1", line(1, "stdout", "F", "1") + line(2, "stdout", "F", "2")),
                                          write("a.log", line(3, "stdout", "P", "3a") + line(3, "stdout", "F", "3b") +
                                                             "garbage\n" + line(4, "stdout", "F", "4") + "unfinished")};
  EXPECT_THAT(tail(files, 0), IsEmpty());
  EXPECT_THAT(tail(files, 1), ElementsAre("4"));
  EXPECT_THAT(tail(files, 2), ElementsAre("3a+", "3b", "4"));
  EXPECT_THAT(tail(files, 3), ElementsAre("2", "3a+", "3b", "4"));
  EXPECT_THAT(tail(files, 9), ElementsAre("1", "2", "3a+", "3b", "4"));
}

TEST_F(LogFiles, TailCountsALastLineWithoutItsEnd) {
  const std::vector<std::string> files = {
      write("a.log", line(1, "stdout", "F", "1") + line(2, "stdout", "F", "2") + line(3, "stdout", "P", "3"))};
  EXPECT_THAT(tail(files, 1), ElementsAre("3+"));
  EXPECT_THAT(tail(files, 2), ElementsAre("2", "3+"));
}

TEST_F(LogFiles, TailOfALargeFile) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += line(i % 60, "stdout", "F", std::string(50, 'x') + std::to_string(i));
  const std::vector<std::string> files = {write("a.log", text)};
  EXPECT_EQ(tail(files, 3000).size(), 3000U);
  EXPECT_EQ(got_.front(), std::string(50, 'x') + "2000");
  EXPECT_EQ(got_.back(), std::string(50, 'x') + "4999");
}

TEST_F(LogFiles, FollowsAcrossRotations) {
  const std::string current = directory_ + "/a.log";
  std::vector<std::string> names = {"a.log"};
  FollowOptions options;
  options.current = current;
  options.files = [&]() -> Result<std::vector<std::string>> {
    std::vector<std::string> files;
    for (const std::string& name : names) {
      if (std::filesystem::exists(directory_ + "/" + name)) files.push_back(directory_ + "/" + name);
    }
    return files;
  };
  auto follower = LogFollower::open(options);
  ASSERT_TRUE(follower.ok());
  ASSERT_TRUE(follower->catch_up(sink()).ok());
  EXPECT_THAT(got_, IsEmpty());
  write("a.log", line(1, "stdout", "F", "1") + line(2, "stdout", "F", "2").substr(0, 20));
  ASSERT_TRUE(follower->catch_up(sink()).ok());
  EXPECT_THAT(got_, ElementsAre("1"));
  // The rest of the line, a rotation, a whole file that is rotated at once, and the new one.
  write("a.log", line(2, "stdout", "F", "2").substr(20));
  std::filesystem::rename(current, directory_ + "/a.log.2");
  write("a.log.1", line(3, "stdout", "F", "3"));
  write("a.log", line(4, "stdout", "F", "4"));
  names = {"a.log.2", "a.log.1", "a.log"};
  ASSERT_TRUE(follower->catch_up(sink()).ok());
  ASSERT_TRUE(follower->catch_up(sink()).ok());
  EXPECT_THAT(got_, ElementsAre("1", "2", "3", "4"));
  write("a.log", line(5, "stderr", "F", "5"));
  ASSERT_TRUE(follower->catch_up(sink()).ok());
  EXPECT_THAT(got_, ElementsAre("1", "2", "3", "4", "E:5"));
}

TEST(CurrentLog, Name) {
  EXPECT_EQ(current_log({"/l/a.log.2", "/l/a.log.1", "/l/a.log"}), "/l/a.log");
  EXPECT_EQ(current_log({"/l/a.log.2", "/l/a.log.1"}), "/l/a.log");
  EXPECT_EQ(current_log({}), "");
}

// Writes numbered lines as the monitor does, one system call at a time.
class RotatingWriter {
 public:
  explicit RotatingWriter(std::string path) : path_(std::move(path)) {}

  static constexpr int kFiles = 4;
  static constexpr int kLinesPerFile = 3;

  void advance() {
    if (phase_ < kLinesPerFile) {
      std::ofstream(path_, std::ios::app) << line(1, "stdout", "F", std::to_string(next_++));
    } else if (const int to = kFiles - 1 - (phase_ - kLinesPerFile); to >= 1) {
      (void)::rename(name(to - 1).c_str(), name(to).c_str());
    } else {
      std::ofstream(path_, std::ios::app).flush();
      phase_ = -1;
    }
    ++phase_;
  }
  int written() const { return next_; }

 private:
  std::string name(int age) const { return age == 0 ? path_ : path_ + "." + std::to_string(age); }

  std::string path_;
  int phase_ = 0;
  int next_ = 0;
};

class LogRace : public LogFiles, public testing::WithParamInterface<int> {
 protected:
  std::vector<std::string> list() const {
    std::vector<std::string> files;
    for (int age = RotatingWriter::kFiles; age >= 0; --age) {
      const std::string path = directory_ + "/a.log" + (age == 0 ? "" : "." + std::to_string(age));
      if (std::filesystem::exists(path)) files.push_back(path);
    }
    return files;
  }
  // The n-th look lets the writer do so much; later ones nothing.
  std::function<void()> at(int n, RotatingWriter& writer) {
    return [this, n, &writer] {
      if (looks_++ != n) return;
      for (int i = 0; i < GetParam(); ++i) writer.advance();
    };
  }
  // How often the numbers do not follow each other; -1 when they go back.
  int gaps() const {
    int count = 0;
    for (std::size_t i = 1; i < got_.size(); ++i) {
      const int step = number(got_[i]) - number(got_[i - 1]);
      if (step < 1) return -1;
      if (step > 1) ++count;
    }
    return count;
  }

  int looks_ = 0;
};

TEST_P(LogRace, PlainReadHasNoHoles) {
  RotatingWriter writer(directory_ + "/a.log");
  for (int i = 0; i < 28; ++i) writer.advance();
  for (int n = 0; n < 14; ++n) {
    // A rotation, line by line and name by name.
    for (int phase = 0; phase < 7; ++phase) {
      got_.clear();
      looks_ = 0;
      writer.advance();
      const int at_start = writer.written();
      ASSERT_TRUE(read_logs(list(), {}, sink(), at(n, writer)).ok());
      ASSERT_EQ(gaps(), 0) << n << " " << phase;
      ASSERT_GE(got_.size(), std::size_t{RotatingWriter::kLinesPerFile});
      ASSERT_GE(number(got_.back()), at_start - 1) << n << " " << phase;
    }
  }
}

TEST_P(LogRace, FollowerSeesEachLineOnce) {
  RotatingWriter writer(directory_ + "/a.log");
  for (int i = 0; i < 5; ++i) writer.advance();
  for (int n = 0; n < 40; ++n) {
    got_.clear();
    looks_ = 0;
    int skips = 0;
    FollowOptions options;
    options.current = directory_ + "/a.log";
    options.files = [this]() -> Result<std::vector<std::string>> { return list(); };
    options.on_skip = [&] { ++skips; };
    options.step = at(n, writer);
    auto follower = LogFollower::open(options);
    ASSERT_TRUE(follower.ok());
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(follower->catch_up(sink()).ok());
      writer.advance();
    }
    ASSERT_TRUE(follower->catch_up(sink()).ok());
    ASSERT_EQ(got_.back(), std::to_string(writer.written() - 1)) << n;
    const bool keeps_up = GetParam() <= 14;
    ASSERT_LE(skips, keeps_up ? 0 : 1) << n;
    // Back never, forward not without a word.
    ASSERT_GE(gaps(), 0) << n;
    ASSERT_LE(gaps(), skips) << n;
  }
}

// A rotation is seven steps.
INSTANTIATE_TEST_SUITE_P(Steps, LogRace, testing::Values(1, 2, 3, 7, 9, 14, 22, 35));

TEST_F(LogFiles, ReadsWhileTheWriterNeverPauses) {
  RotatingWriter writer(directory_ + "/a.log");
  for (int i = 0; i < 40; ++i) writer.advance();
  const std::vector<std::string> files = {directory_ + "/a.log.1", directory_ + "/a.log"};
  ASSERT_TRUE(read_logs(files, {}, sink(), [&] { writer.advance(); }).ok());
  for (std::size_t i = 1; i < got_.size(); ++i) EXPECT_EQ(number(got_[i]), number(got_[i - 1]) + 1);
}

TEST_F(LogFiles, FollowsAFileThatIsEmptied) {
  FollowOptions options;
  options.current = write("a.log", line(1, "stdout", "F", "1") + line(2, "stdout", "F", "2") + "torn");
  options.files = [&]() -> Result<std::vector<std::string>> { return std::vector<std::string>{options.current}; };
  auto follower = LogFollower::open(options);
  ASSERT_TRUE(follower.ok());
  ASSERT_TRUE(follower->catch_up(sink()).ok());
  std::filesystem::resize_file(options.current, std::filesystem::file_size(options.current) - 4);
  ASSERT_TRUE(follower->catch_up(sink()).ok());
  write("a.log", line(3, "stdout", "F", "3"));
  ASSERT_TRUE(follower->catch_up(sink()).ok());
  EXPECT_THAT(got_, ElementsAre("1", "2", "3"));
  std::filesystem::resize_file(options.current, 0);
  ASSERT_TRUE(follower->catch_up(sink()).ok());
  write("a.log", line(4, "stdout", "F", "4"));
  ASSERT_TRUE(follower->catch_up(sink()).ok());
  EXPECT_THAT(got_, ElementsAre("1", "2", "3", "4"));
}

TEST_F(LogFiles, FollowEndsWithTheContainer) {
  FollowOptions options;
  options.current = write("a.log", line(1, "stdout", "F", "1"));
  options.files = [&]() -> Result<std::vector<std::string>> { return std::vector<std::string>{options.current}; };
  int asked = 0;
  const FollowUntil until = {[&]() -> Result<bool> {
                               if (++asked == 2) write("a.log", line(2, "stdout", "F", "2"));
                               return asked > 1;
                             },
                             [] { return Status(); }};
  ASSERT_TRUE(follow_logs(options, until, sink()).ok());
  EXPECT_THAT(got_, ElementsAre("1", "2"));
}

}  // namespace
}  // namespace cooper::cli
