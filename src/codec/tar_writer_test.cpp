#include "codec/tar_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
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
