// What reading and writing of messages share: sizes, alignments, rules of names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "dbus/message.h"

namespace cooper::dbus::wire {

inline constexpr std::size_t kMaxArrayBytes = std::size_t{64} << 20;

enum class Field : std::uint8_t {
  kPath = 1,
  kInterface,
  kMember,
  kErrorName,
  kReplySerial,
  kDestination,
  kSender,
  kSignature,
  kUnixFds,
};

// Bytes of a number of this type; 0 for types that are none.
std::size_t width(char type);
std::size_t alignment(char type);
// The number as a value of this type would hold it: cut, and sign extended.
std::uint64_t narrow(std::uint64_t number, char type);

// UTF-8 without surrogates, overlong forms and NUL.
bool is_utf8(std::string_view text);
bool is_member(std::string_view name);
bool is_interface(std::string_view name);  // also names of errors
bool is_bus_name(std::string_view name);
// The fields each type of message must have, and their form. Errc::kInvalidArgument.
Status check_header(const Message& message);

}  // namespace cooper::dbus::wire
