#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strings.h"
#include "io/file.h"
#include "seccomp/internal/sha256.h"
#include "seccomp/seccomp.h"
#include "sys/file.h"

namespace cooper::seccomp {
namespace {

std::string hex(std::string_view text) {
  const Sha256 digest = sha256(text);
  return hex_encode({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

TEST(Sha256, KnownAnswers) {
  EXPECT_EQ(hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hex(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

class Cache : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "cooper-seccomp-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    directory_ = root_ + "/a/cache";
    profile_.default_action = "SCMP_ACT_ALLOW";
    profile_.syscalls.push_back({.names = {"mkdir"}, .action = "SCMP_ACT_ERRNO", .errno_ret = {}, .args = {}});
  }
  void TearDown() override {
    const auto slash = root_.rfind('/');
    const auto parent = sys::openat(sys::kCwd, root_.substr(0, slash), O_RDONLY | O_DIRECTORY);
    (void)!io::remove_tree(*parent, root_.substr(slash + 1)).ok();
  }
  std::vector<std::string> entries() {
    const auto fd = sys::openat(sys::kCwd, directory_, O_RDONLY | O_DIRECTORY);
    return fd.ok() ? *sys::list_directory(*fd) : std::vector<std::string>{};
  }
  void expect_right(const Result<Program>& program) {
    ASSERT_TRUE(program.ok());
    const auto fresh = compile(profile_);
    ASSERT_EQ(program->instructions.size(), fresh->instructions.size());
    for (std::size_t i = 0; i < fresh->instructions.size(); ++i)
      EXPECT_EQ(program->instructions[i].k, fresh->instructions[i].k);
    EXPECT_EQ(program->flags, fresh->flags);
  }
  std::string root_, directory_;
  oci::Seccomp profile_;
};

TEST_F(Cache, KeepsAndFinds) {
  expect_right(compile_cached(profile_, directory_));
  EXPECT_THAT(entries(), ::testing::ElementsAre(profile_key(profile_)));
  expect_right(compile_cached(profile_, directory_));
  const std::string before = profile_key(profile_);
  profile_.syscalls[0].names = {"mkdi", "r"};
  EXPECT_NE(profile_key(profile_), before);
}

TEST_F(Cache, DamageIsNoticedAndRepaired) {
  expect_right(compile_cached(profile_, directory_));
  const std::string path = directory_ + "/" + profile_key(profile_);
  const std::string good = *io::read_file(path);
  std::string bad = good;
  bad[bad.size() / 2] = static_cast<char>(bad[bad.size() / 2] ^ 1);
  for (const std::string& text :
       {bad, good.substr(0, good.size() - 1), good + "x", std::string(), std::string(100, '\xff')}) {
    ASSERT_TRUE(io::write_file_atomic(path, text, 0600).ok());
    expect_right(compile_cached(profile_, directory_));
    EXPECT_EQ(*io::read_file(path), good);
  }
  ASSERT_EQ(::unlink(path.c_str()), 0);
  ASSERT_EQ(::symlink("/etc/passwd", path.c_str()), 0);
  expect_right(compile_cached(profile_, directory_));
}

TEST_F(Cache, DirectoriesOpenToOthersAreNotUsed) {
  ASSERT_TRUE(io::make_directories(directory_, 0755).ok());
  expect_right(compile_cached(profile_, directory_));
  EXPECT_TRUE(entries().empty());
  ASSERT_EQ(::chmod(directory_.c_str(), 0700), 0);
  if (::geteuid() == 0) {
    ASSERT_EQ(::chown(directory_.c_str(), 12345, 12345), 0);
    expect_right(compile_cached(profile_, directory_));
    EXPECT_TRUE(entries().empty());
  }
  expect_right(compile_cached(profile_, "/proc/version/cache"));
}

TEST_F(Cache, StaysBounded) {
  for (std::uint32_t i = 0; i < 70; ++i) {
    profile_.syscalls[0].errno_ret = i;
    ASSERT_TRUE(compile_cached(profile_, directory_).ok());
  }
  EXPECT_EQ(entries().size(), 64U);
  EXPECT_THAT(entries(), ::testing::Contains(profile_key(profile_)));
}

TEST_F(Cache, ErrorsOfTheProfileAreErrors) {
  profile_.default_action = "nonsense";
  EXPECT_EQ(compile_cached(profile_, directory_).error().code(), Errc::kInvalidArgument);
}

}  // namespace
}  // namespace cooper::seccomp
