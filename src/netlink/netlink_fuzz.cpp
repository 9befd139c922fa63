// Answers made of arbitrary bytes never take a parser out of bounds.
#include <cstddef>
#include <cstdint>

#include "netlink/internal/message.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cooper::netlink;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto take = [](std::uint16_t, std::string_view payload) {
    Link link;
    (void)parse_link(payload, link);
    Address address;
    int index = 0;
    (void)parse_address(payload, address, index);
  };
  (void)!walk(bytes, 0, take).ok();
  take(0, bytes);
  return 0;
}
