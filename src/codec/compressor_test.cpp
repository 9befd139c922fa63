// What is compressed here is what the readers of this room undo, and the same each time.
#include "codec/compressor.h"

#include <gtest/gtest.h>

namespace cooper::codec {
namespace {

class StringSink final : public ByteSink {
 public:
  Status write(std::string_view bytes) override {
    if (full) return Error(Errc::kSystem, "no space", ENOSPC);
    text += bytes;
    return {};
  }
  std::string text;
  bool full = false;
};

std::string compressed(Compression compression, std::string_view text, std::size_t step) {
  StringSink sink;
  auto compressor = make_compressor(compression, sink);
  EXPECT_TRUE(compressor.ok());
  for (std::size_t at = 0; at < text.size(); at += step) EXPECT_TRUE((*compressor)->write(text.substr(at, step)).ok());
  EXPECT_TRUE((*compressor)->finish().ok());
  return sink.text;
}

std::string restored(const std::string& bytes) {
  MemorySource source(bytes);
  auto plain = Decompressor::create(source);
  EXPECT_TRUE(plain.ok());
  std::string text(std::size_t{4} << 20, '\0');
  const auto n = read_full(**plain, text);
  EXPECT_TRUE(n.ok());
  text.resize(*n);
  return text;
}

std::string sample(std::size_t size) {
  std::string text;
  std::uint32_t state = 1;
  while (text.size() < size) {
    state = state * 1664525U + 1013904223U;
    text += state >> 31 != 0 ? "words that come again " : std::to_string(state);
  }
  text.resize(size);
  return text;
}

TEST(CompressorTest, ReadersUndoIt) {
  for (const Compression compression : {Compression::kNone, Compression::kGzip, Compression::kZstd}) {
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{700'000}}) {
      const std::string text = sample(size);
      const std::string bytes = compressed(compression, text, 100'000);
      if (size > 0 || compression != Compression::kNone) {
        EXPECT_EQ(sniff(bytes), compression);
      }
      EXPECT_EQ(restored(bytes), text);
      if (size > 1 && compression != Compression::kNone) {
        EXPECT_LT(bytes.size(), size / 2);
      }
      EXPECT_EQ(bytes, compressed(compression, text, 100'000));
    }
  }
}

TEST(CompressorTest, GzipHasNoTimeAndNoName) {
  const std::string bytes = compressed(Compression::kGzip, "x", 1);
  EXPECT_EQ(bytes.substr(3, 5), std::string(5, '\0'));
}

TEST(CompressorTest, FailuresOfTheSinkPass) {
  for (const Compression compression : {Compression::kNone, Compression::kGzip, Compression::kZstd}) {
    StringSink sink;
    auto compressor = make_compressor(compression, sink);
    ASSERT_TRUE(compressor.ok());
    sink.full = true;
    Status status = (*compressor)->write(sample(1'000'000));
    if (status.ok()) status = (*compressor)->finish();
    EXPECT_EQ(status.error().errno_value(), ENOSPC);
  }
}

TEST(CompressorTest, OthersAreNotWritten) {
  StringSink sink;
  EXPECT_EQ(make_compressor(Compression::kXz, sink).error().code(), Errc::kUnsupported);
}

}  // namespace
}  // namespace cooper::codec
