#include "codec/tar_writer.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <string>

#include "base/strings.h"

namespace cooper::codec::tar {
namespace {

constexpr std::size_t kBlockBytes = 512;
constexpr std::size_t kNameBytes = 100;
// Archives end on whole records of so many bytes, by POSIX; some readers warn otherwise.
constexpr std::size_t kRecordBytes = 20 * kBlockBytes;

struct Field {
  std::size_t at;
  std::size_t size;
};
constexpr Field kMode{100, 8};
constexpr Field kUid{108, 8};
constexpr Field kGid{116, 8};
constexpr Field kSize{124, 12};
constexpr Field kTime{136, 12};
constexpr Field kCheckSum{148, 8};
constexpr std::size_t kType = 156;
constexpr std::size_t kMagic = 257;
constexpr std::string_view kUstar(
    "ustar\0"
    "00",
    8);
constexpr Field kDeviceMajor{329, 8};
constexpr Field kDeviceMinor{337, 8};

using Block = std::array<char, kBlockBytes>;

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
  std::memset(block.data() + kCheckSum.at, ' ', kCheckSum.size);
  std::uint64_t sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  put_number(block, {kCheckSum.at, kCheckSum.size - 1}, sum);
}

// "LENGTH path=VALUE\n", whose length counts its own digits.
std::string pax_record(std::string_view key, std::string_view value) {
  const std::size_t rest = key.size() + value.size() + 3;
  std::size_t size = rest + 1;
  while (std::to_string(size).size() + rest != size) ++size;
  return std::to_string(size) + " " + std::string(key) + "=" + std::string(value) + "\n";
}

}  // namespace

Status Writer::put(std::string_view bytes) {
  RETURN_IF_ERROR(sink_.write(bytes));
  written_ += bytes.size();
  return {};
}

Status Writer::pad() {
  const std::size_t over = written_ % kBlockBytes;
  return over == 0 ? Status() : put(std::string(kBlockBytes - over, '\0'));
}

Status Writer::put_block(std::string_view name, char type, std::uint32_t mode, std::uint64_t size_bytes) {
  Block block{};
  std::memcpy(block.data(), name.data(), std::min(name.size(), kNameBytes));
  put_number(block, kMode, mode);
  put_number(block, kUid, 0);
  put_number(block, kGid, 0);
  put_number(block, kSize, size_bytes);
  put_number(block, kTime, 0);
  block[kType] = type;
  std::memcpy(block.data() + kMagic, kUstar.data(), kUstar.size());
  put_number(block, kDeviceMajor, 0);
  put_number(block, kDeviceMinor, 0);
  put_check_sum(block);
  return put({block.data(), block.size()});
}

Status Writer::header(const std::string& path, char type, std::uint32_t mode, std::uint64_t size_bytes) {
  if (path.size() > kNameBytes) {
    const std::string record = pax_record("path", path);
    RETURN_IF_ERROR(put_block("PaxHeaders/path", 'x', 0644, record.size()));
    RETURN_IF_ERROR(put(record));
    RETURN_IF_ERROR(pad());
  }
  return put_block(path, type, mode, size_bytes);
}

Status Writer::directory(const std::string& path) {
  return header(path + "/", '5', 0755, 0);
}

Status Writer::file(const std::string& path, std::uint64_t size_bytes, ByteSource& source) {
  RETURN_IF_ERROR(header(path, '0', 0444, size_bytes));
  RETURN_IF_ERROR(copy_exactly(source, size_bytes, sink_, quoted(path)));
  written_ += size_bytes;
  return pad();
}

Status Writer::finish() {
  RETURN_IF_ERROR(put(std::string(2 * kBlockBytes, '\0')));
  const std::size_t over = written_ % kRecordBytes;
  return over == 0 ? Status() : put(std::string(kRecordBytes - over, '\0'));
}

}  // namespace cooper::codec::tar
