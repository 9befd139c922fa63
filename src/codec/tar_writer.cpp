#include "codec/tar_writer.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <string>

#include "base/strings.h"
#include "codec/internal/tar_block.h"

namespace cooper::codec::tar {
namespace {

// Archives end on whole records of so many bytes, by POSIX; some readers warn otherwise.
constexpr std::size_t kRecordBytes = 20 * kBlock;

using Block = std::array<char, kBlock>;

// Octal digits and a NUL, or from where they do not suffice base 256 with the top bit set.
void put_number(Block& block, Field field, std::uint64_t value) {
  const std::span<char> out = std::span(block).subspan(field.at, field.size);
  const std::size_t digits = field.size - 1;
  const bool octal = value >> (3 * digits) == 0;
  const std::uint64_t base = octal ? 8 : 256;
  for (std::size_t i = octal ? digits : field.size; i-- > 0; value /= base) {
    const auto digit = static_cast<unsigned char>(value % base);
    out[i] = static_cast<char>(octal ? '0' + digit : digit);
  }
  if (octal) {
    out[digits] = '\0';
  } else {
    out[0] = static_cast<char>(0x80);
  }
}

// Six digits, a NUL and a blank, over a header whose own field counts as blanks.
void put_check_sum(Block& block) {
  std::memset(block.data() + kChecksum.at, ' ', kChecksum.size);
  std::uint64_t sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  put_number(block, {kChecksum.at, kChecksum.size - 1}, sum);
}

// "LENGTH path=VALUE\n", whose length counts its own digits.
std::string pax_record(std::string_view key, std::string_view value) {
  const std::size_t rest = key.size() + value.size() + 3;
  std::size_t size = rest + 1;
  while (std::to_string(size).size() + rest != size) ++size;
  return std::to_string(size) + " " + std::string(key) + "=" + std::string(value) + "\n";
}

// Seconds since 1970 as pax has them: "-1.25" is 1.25 seconds before.
std::string pax_time(std::int64_t seconds, std::uint32_t nanoseconds) {
  constexpr std::uint32_t kSecond = 1'000'000'000;
  const bool before = seconds < 0 && nanoseconds != 0;
  std::string text = before && seconds == -1 ? "-0" : std::to_string(before ? seconds + 1 : seconds);
  if (nanoseconds == 0) return text;
  const std::string digits = std::to_string(before ? kSecond - nanoseconds : nanoseconds);
  return text + "." + std::string(9 - digits.size(), '0') + digits;
}

char type_of(EntryType type) {
  return std::ranges::find(kTypeLetters, type, &TypeLetter::type)->letter;
}

Block header_block(const Entry& entry, char type, std::uint64_t stored_bytes) {
  Block block{};
  std::memcpy(block.data() + kName.at, entry.path.data(), std::min(entry.path.size(), kName.size));
  put_number(block, kMode, entry.mode);
  put_number(block, kUid, entry.uid);
  put_number(block, kGid, entry.gid);
  put_number(block, kSize, stored_bytes);
  put_number(block, kMtime, entry.mtime_s < 0 ? 0 : static_cast<std::uint64_t>(entry.mtime_s));
  block[kType] = type;
  std::memcpy(block.data() + kLinkName.at, entry.link_target.data(),
              std::min(entry.link_target.size(), kLinkName.size));
  std::memcpy(block.data() + kMagic.at, kUstarMark.data(), kUstarMark.size());
  put_number(block, kDeviceMajor, entry.device_major);
  put_number(block, kDeviceMinor, entry.device_minor);
  put_check_sum(block);
  return block;
}

// The map of a sparse file as it precedes the data (format 1.0): counts and numbers in lines, whole blocks.
std::string sparse_map(const std::vector<SparsePart>& parts) {
  std::string map = std::to_string(parts.size()) + "\n";
  for (const SparsePart& part : parts) map += std::to_string(part.offset) + "\n" + std::to_string(part.size) + "\n";
  const std::size_t over = map.size() % kBlock;
  if (over != 0) map.append(kBlock - over, '\0');
  return map;
}

// What the header has no room for.
Result<std::string> pax_records(const Entry& entry) {
  std::string out;
  if (entry.path.size() > kName.size && !entry.sparse) out += pax_record("path", entry.path);
  if (entry.link_target.size() > kLinkName.size) out += pax_record("linkpath", entry.link_target);
  if (entry.mtime_s < 0 || entry.mtime_ns != 0) out += pax_record("mtime", pax_time(entry.mtime_s, entry.mtime_ns));
  if (entry.sparse) {
    out += pax_record("GNU.sparse.major", "1") + pax_record("GNU.sparse.minor", "0");
    out += pax_record("GNU.sparse.name", entry.path);
    out += pax_record("GNU.sparse.realsize", std::to_string(entry.size_bytes));
  }
  for (const auto& [name, value] : entry.xattrs) {
    if (name.find('=') != std::string::npos)
      return Error(Errc::kUnsupported, "attribute " + quoted(name) + " has a name that tar cannot hold");
    out += pax_record("SCHILY.xattr." + name, value);
  }
  return out;
}

}  // namespace

Status Writer::put(std::string_view bytes) {
  RETURN_IF_ERROR(sink_.write(bytes));
  written_ += bytes.size();
  return {};
}

Status Writer::pad() {
  const std::size_t over = written_ % kBlock;
  return over == 0 ? Status() : put(std::string(kBlock - over, '\0'));
}

Status Writer::put_records(const std::string& records) {
  if (records.empty()) return {};
  Entry entry;
  entry.path = "PaxHeaders/entry";
  entry.mode = 0644;
  const Block block = header_block(entry, 'x', records.size());
  RETURN_IF_ERROR(put({block.data(), block.size()}));
  RETURN_IF_ERROR(put(records));
  return pad();
}

Status Writer::begin(const Entry& entry) {
  ASSIGN_OR_RETURN(const std::string records, pax_records(entry));
  RETURN_IF_ERROR(put_records(records));
  std::string map;
  std::uint64_t stored = entry.type == EntryType::kFile ? entry.size_bytes : 0;
  if (entry.sparse) {
    map = sparse_map(*entry.sparse);
    stored = map.size();
    for (const SparsePart& part : *entry.sparse) stored += part.size;
  }
  const Block block = header_block(entry, type_of(entry.type), stored);
  RETURN_IF_ERROR(put({block.data(), block.size()}));
  expected_ = stored - map.size();
  return map.empty() ? Status() : put(map);
}

Status Writer::data(std::string_view bytes) {
  if (bytes.size() > expected_) return Error(Errc::kCorrupt, "the file has more data than its header says");
  expected_ -= bytes.size();
  return put(bytes);
}

Status Writer::end_data() {
  if (expected_ != 0) return Error(Errc::kCorrupt, "the file has less data than its header says");
  return pad();
}

Status Writer::begin_plain(const std::string& path, EntryType type, std::uint32_t mode, std::uint64_t size_bytes) {
  Entry entry;
  entry.type = type;
  entry.path = path;
  entry.mode = mode;
  entry.size_bytes = size_bytes;
  return begin(entry);
}

Status Writer::directory(const std::string& path) {
  return begin_plain(path + "/", EntryType::kDirectory, 0755, 0);
}

Status Writer::file(const std::string& path, std::uint64_t size_bytes, ByteSource& source) {
  RETURN_IF_ERROR(begin_plain(path, EntryType::kFile, 0444, size_bytes));
  RETURN_IF_ERROR(copy_exactly(source, size_bytes, sink_, quoted(path)));
  written_ += size_bytes;
  return pad();
}

Status Writer::finish() {
  RETURN_IF_ERROR(put(std::string(2 * kBlock, '\0')));
  const std::size_t over = written_ % kRecordBytes;
  return over == 0 ? Status() : put(std::string(kRecordBytes - over, '\0'));
}

}  // namespace cooper::codec::tar
