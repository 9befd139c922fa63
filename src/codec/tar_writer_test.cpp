#include "codec/tar_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "codec/tar.h"

namespace cooper::codec::tar {
namespace {

class StringSink final : public ByteSink {
 public:
  Status write(std::string_view bytes) override {
    if (text_.size() + bytes.size() > limit_) return Error(Errc::kNoSpace, "full", ENOSPC);
    text_ += bytes;
    return {};
  }
  const std::string& text() const { return text_; }
  void limit(std::size_t bytes) { limit_ = bytes; }

 private:
  std::string text_;
  std::size_t limit_ = std::size_t{1} << 24;
};

// As many zero bytes as nobody keeps in memory.
class Zeros final : public ByteSource {
 public:
  explicit Zeros(std::uint64_t size) : left_(size) {}
  Result<std::size_t> read(std::span<char> buffer) override {
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), left_));
    std::fill_n(buffer.begin(), n, '\0');
    left_ -= n;
    return n;
  }

 private:
  std::uint64_t left_;
};

Status add(Writer& writer, const std::string& path, std::string_view bytes, std::uint64_t size) {
  MemorySource source(bytes);
  return writer.file(path, size, source);
}

TEST(TarWriter, WhatIsWrittenIsReadAgain) {
  StringSink sink;
  Writer writer(sink);
  const std::string long_name = "blobs/sha512/" + std::string(128, 'f');
  const std::string data(1000, 'x');
  ASSERT_TRUE(writer.directory("blobs").ok());
  ASSERT_TRUE(add(writer, "empty", "", 0).ok());
  ASSERT_TRUE(add(writer, long_name, data, data.size()).ok());
  ASSERT_TRUE(add(writer, std::string(100, 'n'), "1", 1).ok());
  ASSERT_TRUE(writer.finish().ok());
  EXPECT_EQ(writer.written(), sink.text().size());
  EXPECT_EQ(sink.text().size() % 10240, 0U);

  MemoryBlocks blocks(sink.text());
  Reader reader(blocks);
  const auto next = [&] {
    Entry entry;
    EXPECT_TRUE(*reader.next(entry));
    std::string bytes;
    while (entry.type == EntryType::kFile) {
      const auto chunk = reader.read();
      EXPECT_TRUE(chunk.ok());
      if (!chunk.ok() || chunk->bytes.empty()) break;
      bytes += chunk->bytes;
    }
    return std::pair(entry, bytes);
  };
  const auto directory = next().first;
  EXPECT_EQ(directory.type, EntryType::kDirectory);
  EXPECT_EQ(directory.mode, 0755U);
  EXPECT_EQ(next().first.path, "empty");
  const auto [file, bytes] = next();
  EXPECT_EQ(file.path, long_name);
  EXPECT_EQ(file.mode, 0444U);
  EXPECT_EQ(file.mtime_s, 0);
  EXPECT_EQ(bytes, data);
  EXPECT_EQ(next().first.path, std::string(100, 'n'));
  Entry end;
  EXPECT_FALSE(*reader.next(end));
  EXPECT_TRUE(reader.saw_end_mark());
}

// All that an entry can have survives.
TEST(TarWriter, WholeEntriesAreReadAgain) {
  std::vector<Entry> entries(6);
  entries[0].type = EntryType::kDirectory;
  entries[0].path = std::string(150, 'd') + "/";
  entries[0].mode = 01777;
  entries[1].path = "file";
  entries[1].mode = 04755;
  entries[1].uid = 4'000'000'000;
  entries[1].gid = 77;
  entries[1].size_bytes = 3;
  entries[1].mtime_s = 1'600'000'000;
  entries[1].mtime_ns = 5;
  entries[1].xattrs = {{"security.capability", std::string("\1\0\n=x", 5)}, {"user.a", ""}};
  entries[2].type = EntryType::kSymlink;
  entries[2].path = "link";
  entries[2].link_target = std::string(200, 't');
  entries[2].mtime_s = -2;
  entries[2].mtime_ns = 750'000'000;
  entries[3].type = EntryType::kHardLink;
  entries[3].path = "hard";
  entries[3].link_target = "file";
  entries[3].mtime_s = -1;
  entries[3].mtime_ns = 750'000'000;
  entries[4].type = EntryType::kCharDevice;
  entries[4].path = "null";
  entries[4].device_major = 1;
  entries[4].device_minor = 300'000;
  entries[5].path = std::string(120, 's');
  entries[5].size_bytes = std::uint64_t{1} << 40;
  entries[5].sparse = {{4096, 4}, {std::uint64_t{1} << 40, 0}};
  StringSink sink;
  Writer writer(sink);
  const auto data_of = [](const Entry& entry) -> std::string {
    return entry.type != EntryType::kFile ? "" : entry.sparse ? "mark" : "abc";
  };
  for (const Entry& entry : entries) {
    ASSERT_TRUE(writer.begin(entry).ok());
    if (entry.type != EntryType::kFile) continue;
    ASSERT_TRUE(writer.data(data_of(entry)).ok());
    ASSERT_TRUE(writer.end_data().ok());
  }
  ASSERT_TRUE(writer.finish().ok());
  MemoryBlocks blocks(sink.text());
  Reader reader(blocks);
  for (const Entry& wanted : entries) {
    Entry entry;
    const auto more = reader.next(entry);
    ASSERT_TRUE(more.ok() && *more) << wanted.path;
    EXPECT_EQ(
        std::tie(entry.type, entry.path, entry.link_target, entry.mode, entry.uid, entry.gid, entry.size_bytes),
        std::tie(wanted.type, wanted.path, wanted.link_target, wanted.mode, wanted.uid, wanted.gid, wanted.size_bytes));
    EXPECT_EQ(std::tie(entry.mtime_s, entry.mtime_ns, entry.device_major, entry.device_minor, entry.xattrs),
              std::tie(wanted.mtime_s, wanted.mtime_ns, wanted.device_major, wanted.device_minor, wanted.xattrs));
    EXPECT_EQ(entry.sparse.has_value(), wanted.sparse.has_value());
    if (entry.type != EntryType::kFile) continue;
    const auto chunk = reader.read();
    ASSERT_TRUE(chunk.ok());
    EXPECT_EQ(chunk->bytes, data_of(wanted));
    EXPECT_EQ(chunk->offset, wanted.sparse ? 4096U : 0U);
  }
}

TEST(TarWriter, DataOfAnotherSizeAreRefused) {
  StringSink sink;
  Writer writer(sink);
  Entry entry;
  entry.path = "a";
  entry.size_bytes = 2;
  ASSERT_TRUE(writer.begin(entry).ok());
  EXPECT_EQ(writer.data("123").error().code(), Errc::kCorrupt);
  ASSERT_TRUE(writer.data("1").ok());
  EXPECT_EQ(writer.end_data().error().code(), Errc::kCorrupt);
  entry.xattrs = {{"user.a=b", "c"}};
  EXPECT_EQ(writer.begin(entry).error().code(), Errc::kUnsupported);
}

TEST(TarWriter, ASourceOfAnotherSizeIsRefused) {
  StringSink sink;
  Writer writer(sink);
  EXPECT_EQ(add(writer, "short", "123", 4).error().code(), Errc::kCorrupt);
  EXPECT_EQ(add(writer, "long", "12345", 4).error().code(), Errc::kCorrupt);
}

TEST(TarWriter, AFullSinkEndsIt) {
  StringSink sink;
  sink.limit(700);
  Writer writer(sink);
  EXPECT_EQ(add(writer, "a", std::string(1000, 'x'), 1000).error().code(), Errc::kNoSpace);
}

// Only the header of so large a file is looked at: the sink is full right after it.
TEST(TarWriter, SizesThatOctalDigitsCannotHold) {
  for (const std::uint64_t size : {(std::uint64_t{1} << 33) - 1, std::uint64_t{1} << 33, std::uint64_t{1} << 40}) {
    StringSink sink;
    sink.limit(512);
    Writer writer(sink);
    Zeros zeros(size);
    EXPECT_EQ(writer.file("big", size, zeros).error().code(), Errc::kNoSpace);
    MemoryBlocks blocks(sink.text());
    Reader reader(blocks);
    Entry entry;
    ASSERT_TRUE(reader.next(entry).ok());
    EXPECT_EQ(entry.size_bytes, size);
  }
}

}  // namespace
}  // namespace cooper::codec::tar
