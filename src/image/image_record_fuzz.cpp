// Any bytes as a record of refs/: no crash; what parses survives a round trip.
#include <cstddef>
#include <cstdint>
#include <string>

#include "image/internal/records.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto image = cooper::image::parse_record(std::string(reinterpret_cast<const char*>(data), size));
  if (!image.ok()) return 0;
  const std::string printed = cooper::image::print_record(*image);
  const auto again = cooper::image::parse_record(printed);
  COOPER_ASSERT(again.ok() && cooper::image::print_record(*again) == printed);
  return 0;
}
