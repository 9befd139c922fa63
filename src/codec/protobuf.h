// The wire format of Protocol Buffers: fields as numbers and bytes. What they mean is the business of whoever knows the
// message. Numbers and length-delimited fields only, as far as writing goes; a reader meets the other kinds as well.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace cooper::codec::protobuf {

class Writer {
 public:
  // int32, int64 (negative numbers take ten bytes), uint32, uint64, bool, enumerations.
  Writer& number(std::uint32_t field, std::int64_t value);
  // string, bytes, a message inside this one.
  Writer& bytes(std::uint32_t field, std::string_view value);
  const std::string& text() const { return out_; }
  std::string take() { return std::move(out_); }

 private:
  void varint(std::uint64_t value);
  std::string out_;
};

struct Field {
  std::uint32_t number = 0;
  enum class Kind { kNumber, kFixed64, kBytes, kFixed32 } kind = Kind::kNumber;
  std::uint64_t value = 0;  // of numbers and fixed ones
  std::string_view bytes;   // into the text of the reader

  // Errc::kCorrupt when the field is of another kind, or the number does not fit.
  Result<std::int32_t> int32() const;
  Result<bool> boolean() const;
  Result<std::string_view> text() const;
};

// Fields in the order they were written. The text is of a peer: every length is checked against what is there. Groups,
// which nobody writes any more, are refused.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}
  // nullopt at the end; Errc::kCorrupt for what is no message.
  Result<std::optional<Field>> next();

 private:
  Result<std::uint64_t> varint();
  Result<std::uint64_t> fixed(std::size_t size);
  std::string_view rest_;
};

}  // namespace cooper::codec::protobuf
