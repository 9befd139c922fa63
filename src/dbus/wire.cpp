#include "dbus/internal/wire.h"

#include "base/chars.h"
#include "base/strings.h"

namespace cooper::dbus::wire {
namespace {

bool is_word(std::string_view text, bool bus_name) {
  if (text.empty()) return false;
  if (!bus_name && is_digit(text[0])) return false;
  for (const char c : text) {
    if (!is_alnum(c) && c != '_' && !(bus_name && c == '-')) return false;
  }
  return true;
}

bool dotted(std::string_view name, bool bus_name) {
  if (name.size() > 255) return false;
  const auto words = split(name, '.');
  if (words.size() < 2) return false;
  for (const auto word : words) {
    if (!is_word(word, bus_name)) return false;
  }
  return true;
}

Error missing(std::string_view what) {
  return Error(Errc::kInvalidArgument, "D-Bus message has no valid " + std::string(what), EINVAL);
}

}  // namespace

std::size_t width(char type) {
  switch (type) {
    case 'y':
      return 1;
    case 'n':
    case 'q':
      return 2;
    case 'b':
    case 'i':
    case 'u':
      return 4;
    case 'x':
    case 't':
      return 8;
    default:
      return 0;
  }
}

std::size_t alignment(char type) {
  switch (type) {
    case 's':
    case 'o':
    case 'a':
    case 'h':
      return 4;
    case 'd':
    case '(':
    case '{':
      return 8;
    case 'g':
    case 'v':
      return 1;
    default:
      return width(type);
  }
}

std::uint64_t narrow(std::uint64_t number, char type) {
  switch (type) {
    case 'y':
      return static_cast<std::uint8_t>(number);
    case 'b':
      return number == 0 ? 0 : 1;
    case 'n':
      return static_cast<std::uint64_t>(std::int64_t{static_cast<std::int16_t>(number)});
    case 'q':
      return static_cast<std::uint16_t>(number);
    case 'i':
      return static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(number)});
    case 'u':
      return static_cast<std::uint32_t>(number);
    default:
      return number;
  }
}

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i]);
    if (first == 0) return false;
    const std::size_t length = first < 0x80         ? 1
                               : (first >> 5) == 6  ? 2
                               : (first >> 4) == 14 ? 3
                               : (first >> 3) == 30 ? 4
                                                    : 0;
    if (length == 0 || i + length > text.size()) return false;
    std::uint32_t point = length == 1 ? first : first & (0x7fU >> length);
    for (std::size_t k = 1; k < length; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xc0) != 0x80) return false;
      point = point << 6 | (next & 0x3fU);
    }
    constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
    if (point < kLeast[length] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return false;
    i += length;
  }
  return true;
}

bool is_member(std::string_view name) {
  return name.size() <= 255 && is_word(name, false);
}

bool is_interface(std::string_view name) {
  return dotted(name, false);
}

bool is_bus_name(std::string_view name) {
  return dotted(name.starts_with(':') ? name.substr(1) : name, true);
}

Status check_header(const Message& message) {
  if (message.serial == 0) return missing("serial");
  const bool reply = message.type == MessageType::kReturn || message.type == MessageType::kError;
  if (reply && message.reply_serial == 0) return missing("reply serial");
  const bool named = message.type == MessageType::kCall || message.type == MessageType::kSignal;
  if (named && !is_member(message.member)) return missing("member");
  if (named && !is_object_path(message.path)) return missing("object path");
  if (message.type == MessageType::kSignal && message.interface.empty()) return missing("interface");
  if (message.type == MessageType::kError && !is_interface(message.error_name)) return missing("error name");
  if (!message.interface.empty() && !is_interface(message.interface)) return missing("interface");
  if (!message.destination.empty() && !is_bus_name(message.destination)) return missing("destination");
  if (!message.sender.empty() && !is_bus_name(message.sender)) return missing("sender");
  return {};
}

}  // namespace cooper::dbus::wire
