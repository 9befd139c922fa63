// What the tests of this room unpack.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "codec/compressor.h"

namespace cooper::inflate {

struct Text final : codec::ByteSink {
  std::string bytes;
  Status write(std::string_view more) override {
    bytes += more;
    return {};
  }
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
