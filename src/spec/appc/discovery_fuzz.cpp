// Pages of strangers: never a crash, always an end; what comes out is bounded, and no template adds a variable.
#include <cstddef>
#include <cstdint>
#include <string>

#include "spec/appc/discovery.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cooper::spec::appc;
  const std::string html(reinterpret_cast<const char*>(data), size);
  const DiscoveryPage page = read_page(html);
  COOPER_ASSERT(page.images.size() <= 64 && page.keys.size() <= 64);
  for (const ImagePlace& place : image_places(page, {.name = "a.example/x", .labels = {{"version", html}}}, "amd64")) {
    COOPER_ASSERT(place.image.find('{') == std::string::npos && place.signature != place.image);
  }
  (void)key_places(page, "a.example/x");
  for (const std::string& one : pages_of(html)) COOPER_ASSERT(!one.empty());
  return 0;
}
