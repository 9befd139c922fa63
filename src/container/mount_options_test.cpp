#include "container/mount_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "sys/mount.h"

namespace cooper::container {
namespace {

using ::testing::ElementsAre;

MountOptions resolve(const std::vector<std::string>& words) {
  auto out = resolve_mount_options(words);
  EXPECT_TRUE(out.ok());
  return out.ok() ? std::move(out).value() : MountOptions();
}

// The words every runtime must or should take (runtime specification, "Linux mount options").
TEST(MountOptionWords, Complete) {
  std::set<std::string_view> have;
  for (const OptionWord& word : mount_option_words()) EXPECT_TRUE(have.insert(word.word).second) << word.word;
  for (const std::string_view word : {"async",
                                      "atime",
                                      "bind",
                                      "defaults",
                                      "dev",
                                      "diratime",
                                      "dirsync",
                                      "exec",
                                      "iversion",
                                      "lazytime",
                                      "loud",
                                      "mand",
                                      "noatime",
                                      "nodev",
                                      "nodiratime",
                                      "noexec",
                                      "noiversion",
                                      "nolazytime",
                                      "nomand",
                                      "norelatime",
                                      "nostrictatime",
                                      "nosuid",
                                      "nosymfollow",
                                      "private",
                                      "ratime",
                                      "rbind",
                                      "rdev",
                                      "rdiratime",
                                      "relatime",
                                      "remount",
                                      "rexec",
                                      "rnoatime",
                                      "rnodev",
                                      "rnodiratime",
                                      "rnoexec",
                                      "rnorelatime",
                                      "rnostrictatime",
                                      "rnosuid",
                                      "rnosymfollow",
                                      "ro",
                                      "rprivate",
                                      "rrelatime",
                                      "rro",
                                      "rrw",
                                      "rshared",
                                      "rslave",
                                      "rstrictatime",
                                      "rsuid",
                                      "rsymfollow",
                                      "runbindable",
                                      "rw",
                                      "shared",
                                      "silent",
                                      "slave",
                                      "strictatime",
                                      "suid",
                                      "symfollow",
                                      "sync",
                                      "tmpcopyup",
                                      "unbindable",
                                      "idmap",
                                      "ridmap"}) {
    EXPECT_TRUE(have.contains(word)) << word;
  }
}

TEST(MountOptions, LaterWordsWin) {
  EXPECT_EQ(resolve({"ro", "rw"}).attr_set, 0U);
  EXPECT_EQ(resolve({"ro", "rw"}).attr_clear, std::uint64_t{MOUNT_ATTR_RDONLY});
  EXPECT_EQ(resolve({"rw", "ro"}).attr_set, std::uint64_t{MOUNT_ATTR_RDONLY});
  EXPECT_EQ(resolve({"rw", "ro"}).attr_clear, 0U);
  EXPECT_EQ(resolve({"sync", "async"}).superblock_flags, 0U);
  EXPECT_EQ(resolve({"rro", "rrw"}).rec_attr_clear, std::uint64_t{MOUNT_ATTR_RDONLY});
}

TEST(MountOptions, AccessTimeIsOneField) {
  const MountOptions options = resolve({"noatime", "strictatime"});
  EXPECT_EQ(options.attr_set, std::uint64_t{MOUNT_ATTR_STRICTATIME});
  EXPECT_EQ(options.attr_clear, std::uint64_t{MOUNT_ATTR__ATIME});
  EXPECT_EQ(resolve({"noatime", "atime"}).attr_set, 0U);
  EXPECT_EQ(resolve({"nodiratime", "noatime"}).attr_set, std::uint64_t{MOUNT_ATTR_NODIRATIME | MOUNT_ATTR_NOATIME});
  EXPECT_EQ(resolve({"rnoatime"}).rec_attr_clear, std::uint64_t{MOUNT_ATTR__ATIME});
}

TEST(MountOptions, UnknownWordsAreData) {
  EXPECT_THAT(resolve({"size=1m", "ro", "", "copy-symlink", "x"}).data, ElementsAre("size=1m", "copy-symlink", "x"));
}

TEST(MountOptions, MappingsOfAMount) {
  const MountOptions options = resolve({"ridmap=uids=0-1000-10;gids=@0-5-1"});
  EXPECT_TRUE(options.idmap && options.idmap_recursive && options.data.empty());
  ASSERT_EQ(options.idmap_words.uids.size(), 1U);
  EXPECT_EQ(options.idmap_words.uids[0].ids.host_id, 1000U);
  EXPECT_FALSE(options.idmap_words.uids[0].relative);
  EXPECT_TRUE(options.idmap_words.gids.at(0).relative);
  EXPECT_FALSE(resolve({"idmap=uids=0-1-2;gids=0-1-2"}).idmap_recursive);
  EXPECT_FALSE(resolve_mount_options({"ridmap=x"}).ok());
}

TEST(MountOptions, Propagation) {
  EXPECT_THAT(resolve({"rprivate", "slave"}).propagation,
              ElementsAre(std::uint64_t{MS_PRIVATE | MS_REC}, std::uint64_t{MS_SLAVE}));
  EXPECT_EQ(propagation_from_word("rshared"), std::uint64_t{MS_SHARED | MS_REC});
  EXPECT_EQ(propagation_from_word("ro"), 0U);
  EXPECT_EQ(propagation_word(MS_SLAVE | MS_REC), "rslave");
}

TEST(MountOptions, WordsOfFlags) {
  EXPECT_THAT(attribute_words(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOATIME),
              ElementsAre("ro", "noexec", "noatime"));
  EXPECT_THAT(superblock_words(MS_RDONLY | MS_SYNCHRONOUS), ElementsAre("ro", "sync"));
}

}  // namespace
}  // namespace cooper::container
