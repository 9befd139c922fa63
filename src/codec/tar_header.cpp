#include "codec/internal/tar_header.h"

#include <algorithm>

#include "base/strings.h"

namespace cooper::codec::tar {
namespace {

std::string_view view(BlockView block, Field field) {
  return {block.data() + field.at, field.size};
}

// Up to the first NUL.
std::string text(BlockView block, Field field) {
  const std::string_view all = view(block, field);
  return std::string(all.substr(0, all.find('\0')));
}

// Base 256 (GNU, star): the top bit of the first byte is set; the rest is a big-endian two's complement number.
std::optional<std::int64_t> base256(std::string_view field) {
  const auto first = static_cast<unsigned char>(field[0]);
  const bool negative = (first & 0x40) != 0;
  const unsigned char fill = negative ? 0xff : 0x00;
  std::uint64_t value = negative ? ~std::uint64_t{0} : 0;
  for (std::size_t i = 0; i < field.size(); ++i) {
    auto byte = static_cast<unsigned char>(field[i]);
    if (i == 0) byte = negative ? static_cast<unsigned char>(byte | 0x80) : static_cast<unsigned char>(byte & 0x7f);
    if ((value >> 56) != fill) return std::nullopt;
    value = (value << 8) | byte;
  }
  if (((value >> 63) != 0) != negative) return std::nullopt;
  return static_cast<std::int64_t>(value);
}

// Octal digits, padded with blanks or NULs on either side; an empty field is 0.
std::optional<std::int64_t> octal(std::string_view field) {
  constexpr std::string_view kPadding(" \0", 2);
  const std::size_t first = field.find_first_not_of(kPadding);
  if (first == std::string_view::npos) return 0;
  field.remove_prefix(first);
  field = field.substr(0, field.find_first_of(kPadding));
  std::int64_t value = 0;
  for (const char c : field) {
    if (c < '0' || c > '7' || value >= (std::int64_t{1} << 60)) return std::nullopt;
    value = value * 8 + (c - '0');
  }
  return value;
}

Result<std::int64_t> number(std::string_view field, std::string_view name) {
  const bool binary = (static_cast<unsigned char>(field[0]) & 0x80) != 0;
  const auto value = binary ? base256(field) : octal(field);
  if (!value) return corrupt("field " + std::string(name) + " is no number: " + quoted(field));
  return *value;
}

Result<std::uint64_t> unsigned_number(std::string_view field, std::string_view name) {
  ASSIGN_OR_RETURN(const std::int64_t value, number(field, name));
  if (value < 0) return corrupt("field " + std::string(name) + " is negative");
  return static_cast<std::uint64_t>(value);
}

Status check_checksum(BlockView block) {
  ASSIGN_OR_RETURN(const std::int64_t stored, number(view(block, kChecksum), "checksum"));
  std::int64_t sum = 0;
  std::int64_t signed_sum = 0;  // what some old archivers computed
  for (std::size_t i = 0; i < kBlock; ++i) {
    const bool blank = i >= kChecksum.at && i < kChecksum.at + kChecksum.size;
    const char c = blank ? ' ' : block[i];
    sum += static_cast<unsigned char>(c);
    signed_sum += static_cast<signed char>(c);
  }
  if (stored != sum && stored != signed_sum)
    return corrupt("wrong check sum in a header: this is no tar archive, or it is damaged");
  return {};
}

Status append_part(BlockView block, std::size_t at, std::vector<SparsePart>& parts, bool& ended) {
  if (ended || block[at] == '\0') {
    ended = true;
    return {};
  }
  SparsePart part;
  ASSIGN_OR_RETURN(part.offset, unsigned_number(view(block, {at, kSparseNumber}), "sparse offset"));
  ASSIGN_OR_RETURN(part.size, unsigned_number(view(block, {at + kSparseNumber, kSparseNumber}), "sparse size"));
  if (parts.size() == kMaxSparseParts) return Error(Errc::kLimit, "tar: sparse file has too many parts");
  parts.push_back(part);
  return {};
}

Status parse_gnu_sparse(BlockView block, Header& out) {
  bool ended = false;
  for (std::size_t i = 0; i < kGnuSparseCount; ++i) {
    RETURN_IF_ERROR(append_part(block, kGnuSparse + i * 2 * kSparseNumber, out.sparse, ended));
  }
  out.sparse_continues = block[kGnuContinues] != '\0';
  ASSIGN_OR_RETURN(out.real_size_bytes, unsigned_number(view(block, kGnuRealSize), "real size"));
  return {};
}

}  // namespace

Error corrupt(std::string_view why) {
  return Error(Errc::kCorrupt, "tar: " + std::string(why));
}

bool is_zero_block(BlockView block) {
  return std::ranges::all_of(block, [](char c) { return c == '\0'; });
}

Result<Header> parse_header(BlockView block) {
  RETURN_IF_ERROR(check_checksum(block));
  Header out;
  const std::string_view magic = view(block, kMagic);
  if (magic.starts_with(kUstarMagic)) {
    out.format = Format::kUstar;
  } else if (magic == kGnuMagic) {
    out.format = Format::kGnu;
  }
  out.type = block[kType];
  out.name = text(block, kName);
  out.link_name = text(block, kLinkName);
  ASSIGN_OR_RETURN(const std::int64_t mode, number(view(block, kMode), "mode"));
  out.mode = static_cast<std::uint64_t>(mode);
  ASSIGN_OR_RETURN(out.uid, number(view(block, kUid), "uid"));
  ASSIGN_OR_RETURN(out.gid, number(view(block, kGid), "gid"));
  ASSIGN_OR_RETURN(out.size_bytes, unsigned_number(view(block, kSize), "size"));
  ASSIGN_OR_RETURN(out.mtime_s, number(view(block, kMtime), "mtime"));
  // v7 headers have no device numbers: whatever is there is not one.
  if (out.format != Format::kV7 && (out.type == '3' || out.type == '4')) {
    ASSIGN_OR_RETURN(out.device_major, unsigned_number(view(block, kDeviceMajor), "device major"));
    ASSIGN_OR_RETURN(out.device_minor, unsigned_number(view(block, kDeviceMinor), "device minor"));
  }
  if (out.format == Format::kUstar) {
    const std::string prefix = text(block, kPrefix);
    if (!prefix.empty()) out.name = prefix + "/" + out.name;
  }
  if (out.type == kGnuSparseFile) {
    if (out.format != Format::kGnu) return corrupt("sparse entry in an archive that is not in GNU format");
    RETURN_IF_ERROR(parse_gnu_sparse(block, out));
  }
  return out;
}

Result<bool> parse_sparse_block(BlockView block, std::vector<SparsePart>& parts) {
  bool ended = false;
  for (std::size_t i = 0; i < kContinuationCount; ++i) {
    RETURN_IF_ERROR(append_part(block, i * 2 * kSparseNumber, parts, ended));
  }
  return block[kContinuationContinues] != '\0';
}

Status check_sparse(const std::vector<SparsePart>& parts, std::uint64_t real_size, std::uint64_t stored_size) {
  std::uint64_t end = 0;
  std::uint64_t data = 0;
  for (const SparsePart& part : parts) {
    if (part.offset < end || part.offset > real_size || part.size > real_size - part.offset) {
      return corrupt("parts of a sparse file overlap, are out of order or outside the file");
    }
    end = part.offset + part.size;
    data += part.size;
  }
  if (data != stored_size) return corrupt("parts of a sparse file do not add up to its data");
  return {};
}

}  // namespace cooper::codec::tar
