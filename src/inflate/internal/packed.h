// What the tests of this room unpack.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "codec/compressor.h"
#include "inflate/gunzip.h"

namespace cooper::inflate {

struct Text final : codec::ByteSink {
  std::string bytes;
  Status write(std::string_view more) override {
    bytes += more;
    return {};
  }
};

// In pieces of that size.
class TextPieces final : public Pieces {
 public:
  explicit TextPieces(std::size_t size) : piece_(size, '?') {}
  Result<std::span<char>> room() override { return std::span<char>(piece_); }
  Status filled(std::size_t bytes) override {
    full_ = full_ && (text.empty() || last_ == piece_.size());
    last_ = bytes;
    text.append(piece_, 0, bytes);
    return {};
  }
  bool all_full_but_the_last() const { return full_; }
  std::string text;

 private:
  std::string piece_;
  std::size_t last_ = 0;
  bool full_ = true;
};

inline std::string packed(std::string_view plain) {
  Text out;
  auto compressor = codec::make_compressor(codec::Compression::kGzip, out);
  EXPECT_TRUE(compressor.ok() && (*compressor)->write(plain).ok() && (*compressor)->finish().ok());
  return out.bytes;
}

inline std::string numbers(int lines) {
  std::string text;
  for (int i = 0; i < lines; ++i) text += std::to_string(i * 7919LL) + "\n";
  return text;
}

}  // namespace cooper::inflate
