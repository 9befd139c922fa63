// The digest of a file's content that does not see holes: blocks of zeros count as nothing, so that a file of a layer
// and a file on the disk compare equal however either is stored, and a hole of exabytes costs nothing. Two contents of
// one size are equal when their digests are.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "codec/digest.h"

namespace cooper::image {

class ContentHash {
 public:
  // In order; what is left out between two pieces is zeros.
  void update(std::uint64_t offset, std::string_view bytes);
  // Hexadecimal. The hash must not be used afterwards.
  std::string finish();

 private:
  static constexpr std::size_t kBlock = 4096;
  void add_block(std::uint64_t number, std::string_view block);
  void end_block();

  codec::Hasher hasher_;
  std::array<char, kBlock> block_{};  // zeros behind filled_
  std::size_t filled_ = 0;
  std::uint64_t number_ = 0;  // of block_
};

}  // namespace cooper::image
