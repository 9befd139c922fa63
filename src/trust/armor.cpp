#include "trust/armor.h"

#include <cstdint>
#include <vector>

#include "base/strings.h"
#include "codec/base64.h"

namespace cooper::trust {
namespace {

constexpr std::string_view kBegin = "-----BEGIN PGP ";
constexpr std::string_view kEnd = "-----END PGP ";
constexpr std::size_t kLineLength = 64;

std::string checksum(std::string_view bytes) {
  std::uint32_t crc = 0xb704ce;
  for (const char c : bytes) {
    crc ^= static_cast<std::uint32_t>(static_cast<unsigned char>(c)) << 16;
    for (int bit = 0; bit < 8; ++bit) {
      crc <<= 1;
      if ((crc & 0x1000000) != 0) crc ^= 0x1864cfb;
    }
  }
  return {static_cast<char>(crc >> 16 & 0xff), static_cast<char>(crc >> 8 & 0xff), static_cast<char>(crc & 0xff)};
}

// One block, line by line.
class Block {
 public:
  explicit Block(std::string_view what) : what_(what) {}

  Status take(std::string_view line) {
    if (in_headers_) {
      // "Version: ..." until an empty line; some writers leave both out.
      in_headers_ = line.find(':') != std::string_view::npos;
    }
    if (in_headers_ || line.empty()) return {};
    if (line.starts_with('=') && line.size() == 5) {
      checksum_ = line.substr(1);
    } else if (checksum_.empty()) {
      text_ += line;
    } else {
      return Error(Errc::kCorrupt, std::string(what_) + ": there is something behind the checksum of the armor");
    }
    return {};
  }
  Result<std::string> bytes() const {
    auto out = codec::base64_decode(text_);
    if (!out) return Error(Errc::kCorrupt, std::string(what_) + ": the armor is no base64");
    if (!checksum_.empty() && codec::base64_decode(checksum_) != checksum(*out))
      return Error(Errc::kCorrupt, std::string(what_) + ": the checksum of the armor is wrong");
    return std::move(*out);
  }

 private:
  std::string_view what_;
  bool in_headers_ = true;
  std::string text_;
  std::string checksum_;
};

}  // namespace

Result<std::string> dearmor(std::string_view text, std::string_view what) {
  // A binary packet begins with its highest bit set.
  if (text.empty() || (static_cast<unsigned char>(text.front()) & 0x80) != 0) return std::string(text);
  std::string out;
  std::optional<Block> block;
  bool any = false;
  for (const std::string_view untrimmed : split(text, '\n')) {
    const std::string_view line = trim(untrimmed);
    if (line.starts_with(kBegin)) {
      if (block) return Error(Errc::kCorrupt, std::string(what) + ": an armored block has no end");
      if (line.starts_with("-----BEGIN PGP SIGNED MESSAGE"))
        return Error(Errc::kUnsupported, std::string(what) + ": clear text with a signature in it is not read");
      block.emplace(what);
      any = true;
    } else if (line.starts_with(kEnd) && block) {
      ASSIGN_OR_RETURN(const std::string bytes, block->bytes());
      out += bytes;
      block.reset();
    } else if (block) {
      RETURN_IF_ERROR(block->take(line));
    }
  }
  if (block) return Error(Errc::kCorrupt, std::string(what) + ": an armored block has no end");
  return any ? std::move(out) : std::string(text);
}

std::string armor(std::string_view bytes, std::string_view type) {
  std::string out = std::string(kBegin).append(type).append("-----\n\n");
  const std::string text = codec::base64_encode(bytes);
  for (std::size_t i = 0; i < text.size(); i += kLineLength) out.append(text, i, kLineLength).append("\n");
  return out.append("=")
      .append(codec::base64_encode(checksum(bytes)))
      .append("\n")
      .append(kEnd)
      .append(type)
      .append("-----\n");
}

}  // namespace cooper::trust
