// The wire format of D-Bus 1: one message, header and body, to bytes and back. Strict in both directions: what breaks a
// rule of the specification is an error, never a guess. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "dbus/value.h"

namespace cooper::dbus {

enum class MessageType : std::uint8_t { kInvalid = 0, kCall = 1, kReturn = 2, kError = 3, kSignal = 4 };

struct Message {
  MessageType type = MessageType::kCall;
  bool no_reply_expected = false;
  std::uint32_t serial = 0;
  std::uint32_t reply_serial = 0;
  std::string path;
  std::string interface;
  std::string member;
  std::string error_name;
  std::string destination;
  std::string sender;
  std::vector<Value> body;
};

// What this client takes; the specification allows 128 MiB, and no answer to our calls comes near this.
inline constexpr std::size_t kMaxMessageBytes = std::size_t{1} << 20;
inline constexpr std::size_t kFixedHeaderBytes = 16;

// Little endian. Errc::kInvalidArgument when a value does not fit its type, or the message breaks a rule.
Result<std::string> write_message(const Message& message);
// Bytes of the whole message, from its first 16. Errc::kCorrupt, or Errc::kLimit above kMaxMessageBytes.
Result<std::size_t> message_length(std::string_view fixed_header);
// Exactly one message, of either byte order. Unknown header fields are skipped. Errc::kCorrupt.
Result<Message> read_message(std::string_view bytes);

}  // namespace cooper::dbus
