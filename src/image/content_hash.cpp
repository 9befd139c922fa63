#include "image/internal/content_hash.h"

#include <algorithm>
#include <cstring>

namespace cooper::image {

void ContentHash::add_block(std::uint64_t number, std::string_view block) {
  static constexpr std::array<char, kBlock> kZeros{};
  if (std::memcmp(block.data(), kZeros.data(), kBlock) == 0) return;
  std::array<char, sizeof number> header;
  std::memcpy(header.data(), &number, sizeof number);
  hasher_.update({header.data(), header.size()});
  hasher_.update(block);
}

void ContentHash::end_block() {
  if (filled_ == 0) return;
  add_block(number_, {block_.data(), kBlock});
  std::fill_n(block_.begin(), filled_, '\0');
  filled_ = 0;
}

void ContentHash::update(std::uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const std::uint64_t number = offset / kBlock;
    const auto inside = static_cast<std::size_t>(offset % kBlock);
    if (number != number_) end_block();
    number_ = number;
    const std::size_t n = std::min(kBlock - inside, bytes.size());
    if (n == kBlock) {
      add_block(number, bytes.substr(0, n));
    } else {
      std::memcpy(block_.data() + inside, bytes.data(), n);
      filled_ = inside + n;
      if (filled_ == kBlock) end_block();
    }
    offset += n;
    bytes.remove_prefix(n);
  }
}

std::string ContentHash::finish() {
  end_block();
  return std::string(hasher_.finish().hex());
}

}  // namespace cooper::image
