#include "container/record_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "io/file.h"
#include "sys/file.h"

namespace cooper::container {
namespace {

using ::testing::HasSubstr;

class RecordFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/record-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
  }
  void TearDown() override { (void)!io::remove_tree(sys::kCwd, folder_).ok(); }
  std::string root() const { return folder_ + "/a/b"; }
  std::string path() const { return root() + "/box"; }
  std::string text() const { return io::read_regular_file(path(), 1 << 20).value(); }
  void write(std::string_view bytes) const { std::ofstream(path()) << bytes; }

 private:
  std::string folder_;
};

TEST_F(RecordFileTest, HoldsTheLastStateAndTheFirstExit) {
  auto file = RecordFile::create(root(), path());
  ASSERT_TRUE(file.ok()) << file.error().message();
  EXPECT_TRUE(file->append(RecordPart::kState, "early").ok());
  EXPECT_TRUE(file->append(RecordPart::kConfig, "{\n \"a\": 1\n}\n").ok());
  EXPECT_TRUE(file->append(RecordPart::kState, "late").ok());
  EXPECT_TRUE(append_exit(path(), "one").ok());
  EXPECT_TRUE(append_exit(path(), "two").ok());
  RecordParts parts;
  ASSERT_TRUE(read_record(path(), parts).ok());
  EXPECT_EQ(parts.state, "late");
  EXPECT_EQ(parts.config, "{\n \"a\": 1\n}\n");
  EXPECT_EQ(parts.exit, "one");
  struct stat info = {};
  ASSERT_EQ(::stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(RecordFileTest, IsMadeOnce) {
  auto file = RecordFile::create(root(), path());
  ASSERT_TRUE(file.ok());
  const auto again = RecordFile::create(root(), path());
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code(), Errc::kAlreadyExists);
}

TEST_F(RecordFileTest, IsLockedUntilItIsClosed) {
  {
    auto file = RecordFile::create(root(), path());
    ASSERT_TRUE(file.ok());
    EXPECT_TRUE(RecordFile::is_locked(path()).value());
  }
  EXPECT_FALSE(RecordFile::is_locked(path()).value());
  const auto locked = RecordFile::lock(path());
  ASSERT_TRUE(locked.ok());
  EXPECT_TRUE(RecordFile::is_locked(path()).value());
}

TEST_F(RecordFileTest, TellsItsMakerWhatHappenedMeanwhile) {
  auto file = RecordFile::create(root(), path());
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file->append(RecordPart::kState, "early").ok());
  ASSERT_TRUE(file->unlock().ok());
  EXPECT_FALSE(RecordFile::is_locked(path()).value());
  EXPECT_EQ(file->lock_again().value(), RecordFile::Since::kUnchanged);
  EXPECT_TRUE(RecordFile::is_locked(path()).value());
  EXPECT_TRUE(append_exit(path(), "{}").ok());
  EXPECT_EQ(file->lock_again().value(), RecordFile::Since::kWritten);
  EXPECT_TRUE(file->remove().ok());
  EXPECT_FALSE(sys::fstatat(sys::kCwd, path()).ok());
  EXPECT_TRUE(file->remove().ok());
  // One of the same name is another one.
  ASSERT_TRUE(RecordFile::create(root(), path()).ok());
  EXPECT_EQ(file->lock_again().value(), RecordFile::Since::kRemoved);
}

TEST_F(RecordFileTest, OfNobodyIsNotFound) {
  RecordParts parts;
  EXPECT_EQ(read_record(path(), parts).error().errno_value(), ENOENT);
  EXPECT_EQ(RecordFile::lock(path()).error().errno_value(), ENOENT);
  EXPECT_EQ(append_exit(path(), "x").error().errno_value(), ENOENT);
  EXPECT_TRUE(remove_record(path()).ok());
}

// Whoever is killed while it writes leaves a part that is cut off: at every byte it is as if it had not begun.
TEST_F(RecordFileTest, EndsBeforeWhatIsCutOff) {
  auto file = RecordFile::create(root(), path());
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file->append(RecordPart::kState, "early").ok());
  const std::string before = text();
  ASSERT_TRUE(file->append(RecordPart::kState, "something later").ok());
  const std::string whole = text();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    RecordParts parts;
    ASSERT_TRUE(parse_record_parts(std::string_view(whole).substr(0, size), "x", parts).ok()) << size;
    EXPECT_EQ(parts.state, size < before.size() ? "" : "early") << size;
  }
}

// Who goes on without what could not be written must not lose what is written later.
TEST_F(RecordFileTest, APartThatDoesNotFitIsTakenBack) {
  auto file = RecordFile::create(root(), path());
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file->append(RecordPart::kState, "early").ok());
  const std::string before = text();
  struct rlimit limit = {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &limit), 0);
  const struct rlimit full = {before.size() + 10, limit.rlim_max};
  io::survive_file_size_limit();
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
  const Status written = file->append(RecordPart::kState, "something later");
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  EXPECT_EQ(written.error().errno_value(), EFBIG);
  EXPECT_EQ(text(), before);
  EXPECT_TRUE(append_exit(path(), "one").ok());
  RecordParts parts;
  ASSERT_TRUE(read_record(path(), parts).ok());
  EXPECT_EQ(parts.state, "early");
  EXPECT_EQ(parts.exit, "one");
}

TEST_F(RecordFileTest, SaysWhatIsDamaged) {
  RecordParts parts;
  for (const char* bad :
       {"coop container 1\nstate x\n", "coop container 1\nstate 2\nabc\n", "coop container 1\nother 1\na\n",
        "coop container 1\nstate\n", "coop container 1\nstate -1\n\n"}) {
    const Status status = parse_record_parts(bad, "the record", parts);
    ASSERT_FALSE(status.ok()) << bad;
    EXPECT_THAT(status.error().message(), HasSubstr("the record is damaged")) << bad;
  }
  EXPECT_EQ(parse_record_parts("coop container 2\nx", "r", parts).error().code(), Errc::kUnsupported);
  EXPECT_THAT(parse_record_parts("root:x:0:0", "r", parts).error().message(), HasSubstr("not a container's record"));
}

TEST_F(RecordFileTest, TheLockIsNoLicence) {
  ASSERT_TRUE(io::make_directories(root(), 0700).ok());
  write("#!/bin/sh\n");
  const auto file = RecordFile::lock(path());
  ASSERT_TRUE(file.ok());
  EXPECT_THAT(file->remove().error().message(), HasSubstr("is not a container's record"));
  EXPECT_EQ(text(), "#!/bin/sh\n");
}

TEST_F(RecordFileTest, RemovesOnlyRecords) {
  ASSERT_TRUE(RecordFile::create(root(), path()).ok());
  EXPECT_TRUE(remove_record(path()).ok());
  EXPECT_NE(::access(path().c_str(), F_OK), 0);
  write("");  // the creator was killed at once
  EXPECT_TRUE(remove_record(path()).ok());
  write("coop container 1\nstate x\n");
  EXPECT_TRUE(remove_record(path()).ok());
  write("root:x:0:0:");
  EXPECT_FALSE(remove_record(path()).ok());
  EXPECT_EQ(::access(path().c_str(), F_OK), 0);
  ASSERT_EQ(::unlink(path().c_str()), 0);
  ASSERT_EQ(::mkdir(path().c_str(), 0700), 0);
  EXPECT_FALSE(remove_record(path()).ok());
}

}  // namespace
}  // namespace cooper::container
