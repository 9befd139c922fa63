#include "monitor/log_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/strings.h"
#include "io/file.h"
#include "sys/file.h"

namespace cooper::monitor {
namespace {

using protocol::Stream;

constexpr struct timespec kNow = {1767323045, 123456789};  // 2026-01-02T03:04:05.123456789Z
constexpr std::string_view kStamp = "2026-01-02T03:04:05.123456789Z";

class LogWriterTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "cooper-log-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    path_ = name;
    auto dir = sys::openat(sys::kCwd, path_, O_RDONLY | O_DIRECTORY);
    ASSERT_TRUE(dir.ok());
    dir_ = *std::move(dir);
  }
  void TearDown() override { EXPECT_TRUE(io::remove_tree(sys::kCwd, path_).ok()); }

  LogWriter open(std::uint64_t max_bytes = 0, int max_files = 5) {
    auto log = LogWriter::open(dir_, "logs/app.log", max_bytes, max_files);
    EXPECT_TRUE(log.ok()) << log.error().message();
    return *std::move(log);
  }
  std::string text(const std::string& name = "logs/app.log") { return io::read_file(dir_, name).value_or("(missing)"); }

  std::string path_;
  UniqueFd dir_;
};

// What the app wrote to one stream, rebuilt from the records; every record must be well-formed.
std::string rebuild(std::string_view log, std::string_view stream) {
  std::string out;
  for (const std::string_view line : split(log, '\n')) {
    if (line.empty()) continue;
    EXPECT_GE(line.size(), 41U) << line;
    EXPECT_EQ(line[30], ' ');
    const std::string_view rest = line.substr(31);
    if (rest.substr(0, stream.size()) != stream) continue;
    const char tag = rest[stream.size() + 1];
    EXPECT_TRUE(tag == 'P' || tag == 'F') << line.substr(0, 60);
    const std::string_view body = rest.substr(stream.size() + 3);
    EXPECT_LE(body.size(), LogWriter::kMaxText);
    out.append(body);
    if (tag == 'F') out += '\n';
  }
  return out;
}

TEST(TimeStamp, IsUtcWithNineDigits) {
  TimeStamp stamp;
  EXPECT_EQ(stamp.format(kNow), kStamp);
  EXPECT_EQ(stamp.format({1767323045, 7}), "2026-01-02T03:04:05.000000007Z");
  EXPECT_EQ(stamp.format({0, 0}), "1970-01-01T00:00:00.000000000Z");
  EXPECT_EQ(stamp.format({1709251199, 999999999}), "2024-02-29T23:59:59.999999999Z");
}

TEST_F(LogWriterTest, WritesOneRecordALine) {
  LogWriter log = open();
  log.append(Stream::kStdout, "one\ntwo\n\n", kNow);
  log.append(Stream::kStderr, "bad\n", kNow);
  const std::string stamp(kStamp);
  EXPECT_EQ(text(),
            stamp + " stdout F one\n" + stamp + " stdout F two\n" + stamp + " stdout F \n" + stamp + " stderr F bad\n");
}

TEST_F(LogWriterTest, JoinsALineThatCameInPieces) {
  LogWriter log = open();
  log.append(Stream::kStdout, "hel", kNow);
  EXPECT_TRUE(log.has_partial());
  EXPECT_EQ(text(), "");
  log.append(Stream::kStderr, "x", kNow);
  log.append(Stream::kStdout, "lo\n", kNow);
  EXPECT_EQ(text(), std::string(kStamp) + " stdout F hello\n");
  log.flush_partials(kNow);
  EXPECT_FALSE(log.has_partial());
  EXPECT_EQ(text(), std::string(kStamp) + " stdout F hello\n" + std::string(kStamp) + " stderr P x\n");
}

TEST_F(LogWriterTest, CutsLongLinesIntoPartialRecords) {
  for (const std::size_t length : {LogWriter::kMaxText - 1, LogWriter::kMaxText, LogWriter::kMaxText + 1,
                                   3 * LogWriter::kMaxText, std::size_t{100001}}) {
    for (const std::size_t piece : {std::size_t{1000}, std::size_t{16384}, std::size_t{65536}, std::size_t{200000}}) {
      SCOPED_TRACE(std::to_string(length) + " in pieces of " + std::to_string(piece));
      LogWriter log = open();
      (void)!log.reopen().ok();
      std::string line(length, 'a');
      for (std::size_t i = 0; i < length; ++i) line[i] = static_cast<char>('a' + i % 26);
      line += "\nend\n";
      for (std::size_t at = 0; at < line.size(); at += piece)
        log.append(Stream::kStdout, std::string_view(line).substr(at, piece), kNow);
      const std::string whole = text();
      EXPECT_EQ(rebuild(whole, "stdout"), line);
      const std::size_t records = static_cast<std::size_t>(std::count(whole.begin(), whole.end(), '\n'));
      EXPECT_EQ(records, (length + LogWriter::kMaxText - 1) / LogWriter::kMaxText + 1);
      ASSERT_TRUE(sys::unlinkat(dir_, "logs/app.log").ok());
    }
  }
}

TEST_F(LogWriterTest, KeepsEveryByteOfBinaryOutput) {
  LogWriter log = open();
  std::string data;
  for (int i = 0; i < 300000; ++i) data += static_cast<char>((i * 2654435761U) >> 13);
  data += '\n';
  for (std::size_t at = 0; at < data.size(); at += 7777)
    log.append(Stream::kStderr, std::string_view(data).substr(at, 7777), kNow);
  EXPECT_EQ(rebuild(text(), "stderr"), data);
}

TEST_F(LogWriterTest, RotatesBySizeAndKeepsSoManyFiles) {
  LogWriter log = open(1000, 3);
  for (int i = 0; i < 100; ++i) log.append(Stream::kStdout, "line " + std::to_string(1000 + i) + "\n", kNow);
  EXPECT_FALSE(sys::fstatat(dir_, "logs/app.log.3").ok());
  for (const std::string name : {"logs/app.log", "logs/app.log.1", "logs/app.log.2"}) {
    const auto info = sys::fstatat(dir_, name);
    ASSERT_TRUE(info.ok()) << name;
    EXPECT_LE(info->st_size, 1000) << name;
  }
  // Nothing is missing between the oldest file that is left and the newest record.
  const std::string all = rebuild(text("logs/app.log.2") + text("logs/app.log.1") + text(), "stdout");
  EXPECT_NE(all.find("line 1099\n"), std::string::npos);
  const int first = parse_number<int>(all.substr(5, 4)).value_or(0);
  EXPECT_EQ(all.size(), static_cast<std::size_t>(1100 - first) * 10);
}

TEST_F(LogWriterTest, OneFileIsEmptiedWhenFull) {
  LogWriter log = open(500, 1);
  for (int i = 0; i < 100; ++i) log.append(Stream::kStdout, "line " + std::to_string(i) + "\n", kNow);
  EXPECT_LE(text().size(), 500U);
  EXPECT_NE(text().find("line 99"), std::string::npos);
  EXPECT_FALSE(sys::fstatat(dir_, "logs/app.log.1").ok());
}

TEST_F(LogWriterTest, RotatesInsideOneBatch) {
  LogWriter log = open(4096, 100);
  std::string batch;
  for (int i = 0; i < 5000; ++i) batch += "record number " + std::to_string(10000 + i) + "\n";
  log.append(Stream::kStdout, batch, kNow);
  std::string all;
  for (int i = 99; i >= 1; --i) {
    const std::string name = "logs/app.log." + std::to_string(i);
    if (sys::fstatat(dir_, name).ok()) all += text(name);
  }
  EXPECT_EQ(rebuild(all + text(), "stdout").substr(0, 0), "");
  EXPECT_NE((all + text()).find("record number 14999"), std::string::npos);
}

TEST_F(LogWriterTest, ContinuesInANewFileAfterReopen) {
  LogWriter log = open();
  log.append(Stream::kStdout, "old\n", kNow);
  ASSERT_TRUE(sys::renameat(dir_, "logs/app.log", dir_, "moved").ok());
  log.append(Stream::kStdout, "still old\n", kNow);
  ASSERT_TRUE(log.reopen().ok());
  log.append(Stream::kStdout, "new\n", kNow);
  EXPECT_EQ(rebuild(text("moved"), "stdout"), "old\nstill old\n");
  EXPECT_EQ(rebuild(text(), "stdout"), "new\n");
}

TEST_F(LogWriterTest, AppendsToAnExistingFile) {
  { open().append(Stream::kStdout, "first\n", kNow); }
  LogWriter log = open();
  log.append(Stream::kStdout, "second\n", kNow);
  EXPECT_EQ(rebuild(text(), "stdout"), "first\nsecond\n");
}

TEST_F(LogWriterTest, LosesWholeRecordsWhenTheDiskIsFullAndSaysSo) {
  LogWriter log = open();
  log.append(Stream::kStdout, "before\n", kNow);
  const std::string before = text();
  // A file size limit stands in for the full disk: the write stops in the middle of a record.
  const struct rlimit64 old = *sys::get_rlimit(RLIMIT_FSIZE);
  struct sigaction ignore = {}, saved = {};
  ignore.sa_handler = SIG_IGN;
  (void)::sigaction(SIGXFSZ, &ignore, &saved);
  ASSERT_TRUE(sys::prlimit(0, RLIMIT_FSIZE, {before.size() + 20, old.rlim_max}).ok());
  log.append(Stream::kStdout, "lost one\nlost two\n", kNow);
  EXPECT_EQ(text(), before);
  EXPECT_GT(log.lost_bytes(), 0U);
  ASSERT_TRUE(sys::prlimit(0, RLIMIT_FSIZE, old).ok());
  (void)::sigaction(SIGXFSZ, &saved, nullptr);
  log.append(Stream::kStdout, "after\n", kNow);
  EXPECT_EQ(rebuild(text(), "stdout"), "before\nafter\n");
  EXPECT_NE(text().find("stderr F cooper: " + std::to_string(log.lost_bytes()) + " bytes of log were lost here\n"),
            std::string::npos);
}

TEST_F(LogWriterTest, RefusesAnythingButARegularFile) {
  ASSERT_TRUE(sys::mkdirat(dir_, "logs", 0755).ok());
  ASSERT_TRUE(sys::symlinkat("/etc/passwd", dir_, "logs/link").ok());
  EXPECT_FALSE(LogWriter::open(dir_, "logs/link", 0, 5).ok());
  ASSERT_TRUE(sys::mknodat(dir_, "logs/fifo", S_IFIFO | 0600, 0).ok());
  EXPECT_FALSE(LogWriter::open(dir_, "logs/fifo", 0, 5).ok());
}

TEST_F(LogWriterTest, WithoutAFileNothingHappens) {
  LogWriter log;
  log.append(Stream::kStdout, "x", kNow);
  log.flush_partials(kNow);
  EXPECT_TRUE(log.reopen().ok());
  EXPECT_FALSE(log.has_partial());
}

TEST(TimeStampTest, LocalTimesSayTheirZone) {
  TimeStamp stamp;
  stamp.use(TimeZone::kLocal);
  const std::string text(stamp.format({1767323045, 123456789}));
  ASSERT_EQ(text.size(), 35U);
  EXPECT_EQ(text.substr(13, 16), ":04:05.123456789") << "zones of whole hours";
  EXPECT_TRUE(text[29] == '+' || text[29] == '-');
  EXPECT_EQ(text[32], ':');
}

}  // namespace
}  // namespace cooper::monitor
