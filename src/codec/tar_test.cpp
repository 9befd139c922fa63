#include "codec/tar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/internal/tar_fixture.h"

namespace cooper::codec::tar {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

struct Read {
  Entry entry;
  std::string data;  // holes as zeros
};

Result<std::vector<Read>> read_all(const std::string& bytes, std::size_t block = 700) {
  MemoryBlocks blocks(bytes, block);
  Reader reader(blocks);
  std::vector<Read> out;
  Entry entry;
  while (true) {
    ASSIGN_OR_RETURN(const bool more, reader.next(entry));
    if (!more) return out;
    Read read{entry, {}};
    if (entry.type == EntryType::kFile) {
      if (entry.size_bytes > (1U << 20)) return Error(Errc::kLimit, "too large for a test");
      read.data.resize(static_cast<std::size_t>(entry.size_bytes));
      while (true) {
        ASSIGN_OR_RETURN(const Chunk chunk, reader.read());
        if (chunk.bytes.empty()) break;
        if (chunk.offset + chunk.bytes.size() > read.data.size())
          return Error(Errc::kInternal, "data outside the file");
        read.data.replace(static_cast<std::size_t>(chunk.offset), chunk.bytes.size(), chunk.bytes);
      }
    }
    out.push_back(std::move(read));
  }
}

Read read_one(const std::string& bytes) {
  auto all = read_all(bytes);
  EXPECT_TRUE(all.ok()) << (all.ok() ? "" : all.error().message());
  if (!all.ok() || all->size() != 1) return {};
  return std::move(all->front());
}

Errc error_of(const std::string& bytes) {
  const auto all = read_all(bytes);
  EXPECT_FALSE(all.ok());
  return all.ok() ? Errc::kInternal : all.error().code();
}

TEST(Tar, ReadsPlainEntries) {
  const std::string bytes =
      TarFixture()
          .directory("etc/", 0755)
          .add({.path = "etc/passwd", .data = "root:x:0:0\n", .mode = 04755, .uid = 12, .gid = 34})
          .symlink("etc/link", "passwd")
          .hard_link("etc/hard", "etc/passwd")
          .add({.path = "dev/null", .type = '3', .mode = 0666, .device_major = 1, .device_minor = 3})
          .add({.path = "run/fifo", .type = '6'})
          .finish();
  for (const std::size_t block : {1U, 511U, 512U, 513U, 100000U}) {
    const auto all = read_all(bytes, block);
    ASSERT_TRUE(all.ok()) << all.error().message();
    ASSERT_EQ(all->size(), 6U);
    EXPECT_EQ((*all)[0].entry.type, EntryType::kDirectory);
    EXPECT_EQ((*all)[1].data, "root:x:0:0\n");
    EXPECT_EQ((*all)[1].entry.mode, 04755U);
    EXPECT_EQ((*all)[1].entry.uid, 12U);
    EXPECT_EQ((*all)[1].entry.gid, 34U);
    EXPECT_EQ((*all)[1].entry.mtime_s, 1'000'000'000);
    EXPECT_EQ((*all)[2].entry.link_target, "passwd");
    EXPECT_EQ((*all)[3].entry.type, EntryType::kHardLink);
    EXPECT_EQ((*all)[4].entry.device_minor, 3U);
    EXPECT_EQ((*all)[5].entry.type, EntryType::kFifo);
  }
}

TEST(Tar, SkipsDataThatIsNotRead) {
  const std::string bytes = TarFixture().file("a", std::string(5000, 'a')).file("b", "bb").finish();
  MemoryBlocks blocks(bytes, 300);
  Reader reader(blocks);
  Entry entry;
  ASSERT_TRUE(*reader.next(entry));
  EXPECT_EQ(reader.position(), 512U);
  ASSERT_TRUE(*reader.next(entry));
  EXPECT_EQ(entry.path, "b");
  EXPECT_EQ(reader.read()->bytes, "bb");
  EXPECT_FALSE(*reader.next(entry));
  EXPECT_TRUE(reader.saw_end_mark());
  EXPECT_FALSE(*reader.next(entry));
}

TEST(Tar, ReadsPaxRecords) {
  const std::string pax = TarFixture::pax("path", "a/long/name") + TarFixture::pax("uid", "3000000000") +
                          TarFixture::pax("mtime", "-1.25") +
                          TarFixture::pax("SCHILY.xattr.user.x", std::string("a\n\0b", 4)) +
                          TarFixture::pax("LIBARCHIVE.xattr.user%2Ey", "aGk") + TarFixture::pax("comment", "ignored");
  const Read read = read_one(TarFixture().add({.path = "short", .data = "x", .pax = pax}).finish());
  EXPECT_EQ(read.entry.path, "a/long/name");
  EXPECT_EQ(read.entry.uid, 3000000000U);
  EXPECT_EQ(read.entry.mtime_s, -2);
  EXPECT_EQ(read.entry.mtime_ns, 750'000'000U);
  EXPECT_THAT(read.entry.xattrs, ElementsAre(Pair("user.x", std::string("a\n\0b", 4)), Pair("user.y", "hi")));
}

TEST(Tar, PaxSizeWins) {
  TarFixture fixture;
  fixture.append("x", 'x', TarFixture::pax("size", "3"));
  auto block = TarFixture::header({.path = "f"}, 0);
  TarFixture::seal(block);
  EXPECT_EQ(read_one(fixture.raw(block).data("abc").finish()).data, "abc");
}

TEST(Tar, PaxRecordsHoldForOneEntry) {
  const auto all =
      read_all(TarFixture().add({.path = "a", .pax = TarFixture::pax("path", "renamed")}).file("b", "").finish());
  ASSERT_TRUE(all.ok());
  EXPECT_EQ((*all)[0].entry.path, "renamed");
  EXPECT_EQ((*all)[1].entry.path, "b");
}

TEST(Tar, ReadsGnuLongNames) {
  const std::string name = std::string(150, 'n') + "/" + std::string(150, 'm');
  const std::string bytes =
      TarFixture()
          .append("././@LongLink", 'L', name + '\0', "ustar  ")
          .append("././@LongLink", 'K', std::string(300, 't') + '\0', "ustar  ")
          .add({.path = name.substr(0, 100), .type = '2', .link = "t", .magic = std::string("ustar  \0", 8)})
          .finish();
  const Read read = read_one(bytes);
  EXPECT_EQ(read.entry.path, name);
  EXPECT_EQ(read.entry.link_target, std::string(300, 't'));
}

TEST(Tar, ReadsUstarPrefix) {
  auto block = TarFixture::header({.path = "file"}, 0);
  TarFixture::put(block, 345, "some/prefix");
  TarFixture::seal(block);
  EXPECT_EQ(read_one(TarFixture().raw(block).finish()).entry.path, "some/prefix/file");
}

TEST(Tar, ReadsBase256Numbers) {
  auto block = TarFixture::header({.path = "f", .type = '5', .magic = std::string("ustar  \0", 8)}, 0);
  const std::string uid("\x80\0\0\0\xb2\xd0\x5e\x00", 8);  // 3000000000
  TarFixture::put(block, 108, uid);
  TarFixture::put(block, 136, std::string(11, '\xff') + '\xfe');  // -2
  TarFixture::seal(block);
  const Read read = read_one(TarFixture().raw(block).finish());
  EXPECT_EQ(read.entry.uid, 3000000000U);
  EXPECT_EQ(read.entry.mtime_s, -2);
}

TEST(Tar, ReadsFilesAboveEightGigabytes) {
  auto block = TarFixture::header({.path = "f", .magic = std::string("ustar  \0", 8)}, 0);
  TarFixture::put(block, 124, std::string("\x80\0\0\0\0\0\0\x03\0\0\0\0", 12));  // 12 GiB
  TarFixture::seal(block);
  MemoryBlocks blocks(TarFixture().raw(block).bytes());
  const std::string kept = TarFixture().raw(block).bytes();
  MemoryBlocks source(kept);
  Reader reader(source);
  Entry entry;
  ASSERT_TRUE(*reader.next(entry));
  EXPECT_EQ(entry.size_bytes, std::uint64_t{12} << 30);
  EXPECT_EQ(reader.read().error().code(), Errc::kCorrupt);
}

TEST(Tar, OldHeadersHaveNoDeviceNumbersAndSlashMeansDirectory) {
  const Read read = read_one(TarFixture().add({.path = "dir/", .type = '\0', .magic = std::string(8, '\0')}).finish());
  EXPECT_EQ(read.entry.type, EntryType::kDirectory);
}

TEST(Tar, TheSlashOfALongNameMeansDirectoryToo) {
  const std::string name = std::string(150, 'n') + "/";
  const FixtureEntry old{.path = name.substr(0, 100), .type = '\0', .magic = std::string(8, '\0')};
  const Read gnu = read_one(TarFixture().append("././@LongLink", 'L', name + '\0', "ustar  ").add(old).finish());
  EXPECT_EQ(gnu.entry.type, EntryType::kDirectory);
  EXPECT_EQ(gnu.entry.path, name);
  FixtureEntry pax = old;
  pax.pax = TarFixture::pax("path", name);
  EXPECT_EQ(read_one(TarFixture().add(pax).finish()).entry.type, EntryType::kDirectory);
  pax.path = "cut/";
  pax.pax = TarFixture::pax("path", "cut/after-the-slash");
  EXPECT_EQ(read_one(TarFixture().add(pax).finish()).entry.type, EntryType::kFile);
}

TarFixture::Block gnu_sparse_header(std::uint64_t stored, std::uint64_t real, const std::vector<SparsePart>& parts,
                                    bool continues) {
  auto block = TarFixture::header({.path = "sparse", .type = 'S', .magic = std::string("ustar  \0", 8)}, stored);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    TarFixture::octal(block, 386 + i * 24, 12, parts[i].offset);
    TarFixture::octal(block, 398 + i * 24, 12, parts[i].size);
  }
  block[482] = continues ? '\1' : '\0';
  TarFixture::octal(block, 483, 12, real);
  TarFixture::seal(block);
  return block;
}

std::string sparse_content() {
  std::string content(5000, '\0');
  content.replace(1000, 3, "abc");
  content.replace(4000, 2, "de");
  return content;
}

TEST(Tar, ReadsGnuSparseFiles) {
  const auto block = gnu_sparse_header(5, 5000, {{1000, 3}, {4000, 2}, {5000, 0}}, false);
  const Read read = read_one(TarFixture().raw(block).data("abcde").finish());
  EXPECT_EQ(read.data, sparse_content());
  EXPECT_EQ(read.entry.size_bytes, 5000U);
  ASSERT_TRUE(read.entry.sparse.has_value());
}

TEST(Tar, ReadsGnuSparseContinuations) {
  const auto block = gnu_sparse_header(5, 5000, {{0, 0}, {0, 0}, {0, 0}, {1000, 3}}, true);
  TarFixture::Block more{};
  TarFixture::octal(more, 0, 12, 4000);
  TarFixture::octal(more, 12, 12, 2);
  EXPECT_EQ(read_one(TarFixture().raw(block).raw(more).data("abcde").finish()).data, sparse_content());
}

TEST(Tar, ReadsPaxSparseFiles) {
  const std::string common = TarFixture::pax("GNU.sparse.name", "real") + TarFixture::pax("GNU.sparse.size", "5000");
  const std::string v00 = common + TarFixture::pax("GNU.sparse.numblocks", "2") +
                          TarFixture::pax("GNU.sparse.offset", "1000") + TarFixture::pax("GNU.sparse.numbytes", "3") +
                          TarFixture::pax("GNU.sparse.offset", "4000") + TarFixture::pax("GNU.sparse.numbytes", "2");
  const std::string v01 = common + TarFixture::pax("GNU.sparse.map", "1000,3,4000,2");
  for (const std::string& pax : {v00, v01}) {
    const Read read = read_one(TarFixture().add({.path = "GNUSparseFile/real", .data = "abcde", .pax = pax}).finish());
    EXPECT_EQ(read.entry.path, "real");
    EXPECT_EQ(read.data, sparse_content());
  }
  const std::string v10 = TarFixture::pax("GNU.sparse.name", "real") + TarFixture::pax("GNU.sparse.realsize", "5000") +
                          TarFixture::pax("GNU.sparse.major", "1") + TarFixture::pax("GNU.sparse.minor", "0");
  std::string data = "2\n1000\n3\n4000\n2\n";
  data.resize(512);
  EXPECT_EQ(read_one(TarFixture().add({.path = "x", .data = data + "abcde", .pax = v10}).finish()).data,
            sparse_content());
}

TEST(Tar, RefusesLyingSparseMaps) {
  for (const std::string map : {"0,9", "0,3,1,2", "4999,5", "18446744073709551615,5", "0,5,", "0", "x,5"}) {
    const std::string pax = TarFixture::pax("GNU.sparse.size", "5000") + TarFixture::pax("GNU.sparse.map", map);
    EXPECT_EQ(error_of(TarFixture().add({.path = "f", .data = "abcde", .pax = pax}).finish()), Errc::kCorrupt) << map;
  }
}

TEST(Tar, RefusesBadPaxRecords) {
  for (const std::string pax :
       {"5 a=b\n", "x a=b\n", "6 a=b", "999 a=b\n", "5 ab\n", "18446744073709551615 a=b\n", "5 =b\n", " a=b\n"}) {
    EXPECT_EQ(error_of(TarFixture().add({.path = "f", .pax = std::string(pax)}).finish()), Errc::kCorrupt) << pax;
  }
  EXPECT_EQ(error_of(TarFixture().add({.path = "f", .pax = TarFixture::pax("path", std::string("a\0b", 3))}).finish()),
            Errc::kCorrupt);
  EXPECT_EQ(error_of(TarFixture().add({.path = "f", .pax = TarFixture::pax("path", std::string(5000, 'a'))}).finish()),
            Errc::kLimit);
  EXPECT_EQ(error_of(TarFixture().add({.path = "f", .pax = TarFixture::pax("uid", "-1")}).finish()), Errc::kCorrupt);
  EXPECT_EQ(error_of(TarFixture().add({.path = "f", .pax = TarFixture::pax("uid", "4294967295")}).finish()),
            Errc::kCorrupt);
  EXPECT_EQ(error_of(TarFixture().add({.path = "f", .pax = TarFixture::pax("size", "9999999999999999999")}).finish()),
            Errc::kCorrupt);
}

TEST(Tar, BoundsTheExtendedHeadersOfAnEntryTogether) {
  const auto with_headers = [](int count) {
    TarFixture fixture;
    for (int i = 0; i < count; ++i) {
      const std::string name = "SCHILY.xattr.user." + std::to_string(i);
      fixture.append("PaxHeaders/x", 'x', TarFixture::pax(name, std::string(60'000, 'v')));
    }
    return fixture.file("f", "").finish();
  };
  EXPECT_EQ(read_one(with_headers(17)).entry.xattrs.size(), 17U);
  EXPECT_EQ(error_of(with_headers(18)), Errc::kLimit);
  EXPECT_EQ(error_of(TarFixture().append("x", 'L', std::string(4097, 'n')).file("f", "").finish()), Errc::kLimit);
}

TEST(Tar, RefusesDamagedHeaders) {
  std::string bytes = TarFixture().file("f", "data").finish();
  bytes[0] = 'g';
  EXPECT_EQ(error_of(bytes), Errc::kCorrupt);
  EXPECT_EQ(error_of(std::string(512, 'x')), Errc::kCorrupt);
  EXPECT_EQ(error_of(TarFixture().add({.path = "f", .type = 'Z'}).finish()), Errc::kUnsupported);
  // One zero block, then more entries.
  EXPECT_EQ(error_of(std::string(512, '\0') + TarFixture().file("f", "").finish()), Errc::kCorrupt);
}

TEST(Tar, RefusesEveryCutInsideAnEntry) {
  const std::string pax = TarFixture::pax("path", "renamed");
  const std::string whole = TarFixture().add({.path = "a", .data = std::string(700, 'x'), .pax = pax}).bytes();
  const std::size_t padding = 1024 - 700;
  for (std::size_t size = 1; size < whole.size() - padding; ++size) {
    const auto all = read_all(whole.substr(0, size));
    ASSERT_FALSE(all.ok()) << size;
    EXPECT_EQ(all.error().code(), Errc::kCorrupt);
  }
  const auto all = read_all(whole);
  ASSERT_TRUE(all.ok());
}

// As umoci insert leaves its layers.
TEST(Tar, TheLastEntryNeedsNoPadding) {
  const std::string whole = TarFixture().file("a", "x").file("b", std::string(700, 'y')).bytes();
  for (const std::size_t missing : {1, 100, 1024 - 700}) {
    const auto all = read_all(whole.substr(0, whole.size() - missing));
    ASSERT_TRUE(all.ok()) << missing;
    ASSERT_EQ(all->size(), 2U);
    MemoryBlocks blocks(std::string_view(whole).substr(0, whole.size() - missing));
    Reader reader(blocks);
    Entry entry;
    while (*reader.next(entry)) {
    }
    EXPECT_FALSE(reader.saw_end_mark());
    EXPECT_FALSE(*reader.next(entry));
  }
}

TEST(Tar, SaysWhetherTheEndMarkWasThere) {
  const std::string whole = TarFixture().file("a", "x").bytes();
  MemoryBlocks blocks(whole);
  Reader reader(blocks);
  Entry entry;
  ASSERT_TRUE(*reader.next(entry));
  ASSERT_FALSE(*reader.next(entry));
  EXPECT_FALSE(reader.saw_end_mark());
}

TEST(Tar, IgnoresSizesOfLinksAndDevices) {
  TarFixture fixture;
  auto block = TarFixture::header({.path = "link", .type = '1', .link = "a"}, 4096);
  TarFixture::seal(block);
  const auto all = read_all(fixture.file("a", "x").raw(block).file("b", "y").finish());
  ASSERT_TRUE(all.ok()) << all.error().message();
  EXPECT_EQ(all->size(), 3U);
}

}  // namespace
}  // namespace cooper::codec::tar
