// What either side of the socket may be sent by the other: never a crash, and what was taken is printed and taken
// again.
#include <cstddef>
#include <cstdint>
#include <string>

#include "fetch/protocol.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

template <typename Parse>
void round_trip(const std::string& text, Parse parse) {
  const auto value = parse(text);
  if (!value.ok()) return;
  const auto again = parse(cooper::fetch::print(*value));
  COOPER_ASSERT(again.ok());
  COOPER_ASSERT(cooper::fetch::print(*again) == cooper::fetch::print(*value));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  round_trip(text, cooper::fetch::parse_setup);
  round_trip(text, cooper::fetch::parse_request);
  round_trip(text, cooper::fetch::parse_event);
  return 0;
}
