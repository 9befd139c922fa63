// Any bytes as a record of refs/, as the listing of all of them, and as the index of somebody's layout: no crash; what
// parses survives a round trip.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "image/internal/layout_update.h"
#include "image/internal/listing.h"
#include "image/internal/origins.h"
#include "image/internal/records.h"

namespace {

// The checksum at its end, which no fuzzer guesses, is made right.
void try_listing(std::string_view bytes) {
  std::string text = cooper::image::print_listing("", {});
  text.resize(text.size() - 16);  // no images, and the checksum
  text += bytes;
  cooper::image::seal_listing(text);
  const auto images = cooper::image::parse_listing(text, "");
  COOPER_ASSERT(!images || cooper::image::print_listing("", *images) == text);
}

// What was added once is there once.
void try_index(const std::string& text) {
  const std::string more =
      R"({"manifests":[{"digest":"sha256:a","annotations":{"org.opencontainers.image.ref.name":"x"}},{"digest":"b"}]})";
  const auto merged = cooper::image::merge_index(text, more);
  if (!merged.ok()) return;
  const auto again = cooper::image::merge_index(*merged, more);
  COOPER_ASSERT(again.ok() && *again == *merged);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try_listing({reinterpret_cast<const char*>(data), size});
  try_index(std::string(reinterpret_cast<const char*>(data), size));
  if (const auto origin = cooper::image::parse_origin(std::string(reinterpret_cast<const char*>(data), size));
      origin.ok()) {
    const std::string printed = cooper::image::print_origin(*origin);
    const auto again = cooper::image::parse_origin(printed);
    COOPER_ASSERT(again.ok() && cooper::image::print_origin(*again) == printed);
  }
  const auto image = cooper::image::parse_record(std::string(reinterpret_cast<const char*>(data), size));
  if (!image.ok()) return 0;
  const std::string printed = cooper::image::print_record(*image);
  const auto again = cooper::image::parse_record(printed);
  COOPER_ASSERT(again.ok() && cooper::image::print_record(*again) == printed);
  return 0;
}
