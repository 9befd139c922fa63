// Bytes of a peer and texts of a configuration, as arbitrary bytes.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "dbus/address.h"
#include "dbus/message.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cooper::dbus;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)message_length(bytes.substr(0, kFixedHeaderBytes));
  if (const auto message = read_message(bytes); message.ok() && message->type != MessageType::kInvalid) {
    // What is accepted can be written, and is the same when read again (descriptors and unknown types cannot be sent).
    if (const auto written = write_message(*message); written.ok()) {
      const auto again = read_message(*written);
      if (!again.ok() || again->body.size() != message->body.size() || again->member != message->member) std::abort();
      const auto twice = write_message(*again);
      if (!twice.ok() || *twice != *written) std::abort();
    }
  }
  if (const auto value = parse_text(bytes); value.ok()) {
    const auto again = parse_text(print_text(*value));
    if (!again.ok() || print_text(*again) != print_text(*value) || again->type != value->type) std::abort();
  }
  if (const auto addresses = parse_addresses(bytes); addresses.ok()) {
    for (const std::string& address : *addresses) {
      if (address.empty() || (address[0] != '/' && address[0] != '@')) std::abort();
    }
  }
  return 0;
}
