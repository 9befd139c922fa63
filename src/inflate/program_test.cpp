// cooper-inflate as cooper uses it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <dirent.h>
#include <sys/wait.h>

#include <algorithm>
#include <string>

#include "fetch/inflate.h"
#include "inflate/internal/packed.h"

namespace cooper::inflate {
namespace {

using fetch::InflatedGzip;
using ::testing::HasSubstr;

Result<std::string> read_all(codec::ByteSource& source) {
  std::string out;
  std::string buffer(100'000, '\0');
  while (true) {
    ASSIGN_OR_RETURN(const std::size_t n, source.read(buffer));
    if (n == 0) return out;
    out.append(buffer, 0, n);
  }
}

Result<std::string> inflated(std::string_view bytes) {
  codec::MemorySource source(bytes);
  const auto reader = InflatedGzip::start(COOPER_INFLATE, source);
  if (!reader) return Error(Errc::kSystem, "it does not start");
  return read_all(*reader);
}

// Fails after its bytes.
class Breaking final : public codec::ByteSource {
 public:
  explicit Breaking(std::string_view bytes) : memory_(bytes) {}
  Result<std::size_t> read(std::span<char> buffer) override {
    ASSIGN_OR_RETURN(const std::size_t n, memory_.read(buffer));
    if (n == 0) return Error(Errc::kSystem, "the disk is broken", EIO);
    return n;
  }

 private:
  codec::MemorySource memory_;
};

int open_descriptors() {
  int count = 0;
  DIR* dir = ::opendir("/proc/self/fd");
  while (::readdir(dir) != nullptr) ++count;
  ::closedir(dir);
  return count;
}

class ProgramTest : public ::testing::Test {
 protected:
  void TearDown() override {
    EXPECT_EQ(open_descriptors(), before_);
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a child is left";
  }
  int before_ = open_descriptors();
};

TEST_F(ProgramTest, WhatWasPackedComesBack) {
  const std::string text = numbers(150'000);
  EXPECT_TRUE(inflated(packed(text)).value_or("?") == text);
  EXPECT_EQ(inflated(packed("a") + packed("b")).value_or("?"), "ab");
}

TEST_F(ProgramTest, WhatIsWrongIsSaid) {
  const std::string whole = packed(numbers(150'000));
  EXPECT_THAT(inflated(whole.substr(0, whole.size() / 2)).error().message(), HasSubstr("truncated"));
  EXPECT_THAT(inflated(whole + "x").error().message(), HasSubstr("followed by other bytes"));
  std::string broken = whole;
  std::fill_n(broken.begin() + 1000, 100, '\xff');
  const auto out = inflated(broken);
  EXPECT_EQ(out.error().code(), Errc::kCorrupt);
  EXPECT_THAT(out.error().message(), HasSubstr("corrupt"));
}

TEST_F(ProgramTest, AnErrorOfTheSourceIsTheError) {
  const std::string whole = packed(numbers(150'000));
  Breaking source(std::string_view(whole).substr(0, whole.size() / 2));
  const auto reader = InflatedGzip::start(COOPER_INFLATE, source);
  ASSERT_NE(reader, nullptr);
  EXPECT_THAT(read_all(*reader).error().message(), HasSubstr("the disk is broken"));
}

TEST_F(ProgramTest, MayBeLeftInTheMiddle) {
  const std::string whole = packed(numbers(150'000));
  codec::MemorySource source(whole);
  const auto reader = InflatedGzip::start(COOPER_INFLATE, source);
  ASSERT_NE(reader, nullptr);
  std::string buffer(10, '\0');
  EXPECT_EQ(reader->read(buffer).value_or(0), 10U);
}

TEST_F(ProgramTest, OtherProgramsAreNotUsed) {
  for (const char* program : {"/nonexistent", "/bin/true", "/bin/cat"}) {
    const std::string whole = packed("text");
    codec::MemorySource source(whole);
    EXPECT_EQ(InflatedGzip::start(program, source), nullptr) << program;
    std::string rest(whole.size(), '\0');
    EXPECT_EQ(codec::read_full(source, rest).value_or(0), whole.size()) << "something was read";
  }
}

}  // namespace
}  // namespace cooper::inflate
