#include "codec/protobuf.h"

#include <limits>

namespace cooper::codec::protobuf {
namespace {

constexpr std::uint64_t kMaxFieldNumber = (std::uint64_t{1} << 29) - 1;

enum WireType : unsigned { kVarint = 0, kWire64 = 1, kLengthDelimited = 2, kWire32 = 5 };

Error corrupt(std::string_view why) {
  return {Errc::kCorrupt, "damaged message: " + std::string(why)};
}

Error wrong_kind(std::uint32_t number, std::string_view wanted) {
  return corrupt("field " + std::to_string(number) + " is no " + std::string(wanted));
}

}  // namespace

void Writer::varint(std::uint64_t value) {
  while (value >= 0x80) {
    out_ += static_cast<char>(static_cast<unsigned char>(value | 0x80));
    value >>= 7;
  }
  out_ += static_cast<char>(value);
}

Writer& Writer::number(std::uint32_t field, std::int64_t value) {
  varint(std::uint64_t{field} << 3 | kVarint);
  varint(static_cast<std::uint64_t>(value));
  return *this;
}

Writer& Writer::bytes(std::uint32_t field, std::string_view value) {
  varint(std::uint64_t{field} << 3 | kLengthDelimited);
  varint(value.size());
  out_ += value;
  return *this;
}

Result<std::int32_t> Field::int32() const {
  if (kind != Kind::kNumber) return wrong_kind(number, "number");
  const auto wide = static_cast<std::int64_t>(value);
  if (wide < std::numeric_limits<std::int32_t>::min() || wide > std::numeric_limits<std::int32_t>::max())
    return corrupt("the number of field " + std::to_string(number) + " does not fit");
  return static_cast<std::int32_t>(wide);
}

Result<bool> Field::boolean() const {
  if (kind != Kind::kNumber) return wrong_kind(number, "truth value");
  return value != 0;
}

Result<std::string_view> Field::text() const {
  if (kind != Kind::kBytes) return wrong_kind(number, "text");
  return bytes;
}

Result<std::uint64_t> Reader::varint() {
  std::uint64_t out = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (rest_.empty()) return corrupt("it ends inside a number");
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    // The tenth byte holds one bit.
    if (shift == 63 && byte > 1) return corrupt("a number is too long");
    out |= std::uint64_t{byte & 0x7fU} << shift;
    if ((byte & 0x80) == 0) return out;
  }
  return corrupt("a number is too long");
}

Result<std::uint64_t> Reader::fixed(std::size_t size) {
  if (rest_.size() < size) return corrupt("it ends inside a number");
  std::uint64_t out = 0;
  for (std::size_t i = 0; i < size; ++i) out |= std::uint64_t{static_cast<unsigned char>(rest_[i])} << (8 * i);
  rest_.remove_prefix(size);
  return out;
}

Result<std::optional<Field>> Reader::next() {
  if (rest_.empty()) return std::optional<Field>();
  ASSIGN_OR_RETURN(const std::uint64_t key, varint());
  Field out;
  if (key >> 3 == 0 || key >> 3 > kMaxFieldNumber) return corrupt("a field has an impossible number");
  out.number = static_cast<std::uint32_t>(key >> 3);
  switch (key & 7) {
    case kVarint: {
      ASSIGN_OR_RETURN(out.value, varint());
      break;
    }
    case kWire64: {
      out.kind = Field::Kind::kFixed64;
      ASSIGN_OR_RETURN(out.value, fixed(8));
      break;
    }
    case kLengthDelimited: {
      out.kind = Field::Kind::kBytes;
      ASSIGN_OR_RETURN(const std::uint64_t size, varint());
      if (size > rest_.size()) return corrupt("it ends inside field " + std::to_string(out.number));
      out.bytes = rest_.substr(0, size);
      rest_.remove_prefix(size);
      break;
    }
    case kWire32: {
      out.kind = Field::Kind::kFixed32;
      ASSIGN_OR_RETURN(out.value, fixed(4));
      break;
    }
    default:
      return corrupt("field " + std::to_string(out.number) + " is of an unknown kind");
  }
  return std::optional(out);
}

}  // namespace cooper::codec::protobuf
