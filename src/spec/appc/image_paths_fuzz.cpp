// Files of paths.d and names of images, as arbitrary bytes: no crash, and no name leaves the directory of a template.
#include <cstddef>
#include <cstdint>
#include <string>

#include "spec/appc/image_paths.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cooper::spec::appc;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto paths = parse_image_paths(text, "file");
  if (paths.ok()) {
    for (const ImagePaths* one : paths_about(*paths, "example.com/a")) COOPER_ASSERT(!one->templates.empty());
  }
  const auto name = parse_image_name(text);
  if (!name.ok()) return 0;
  const auto place = place_at("/srv/{name}/{version}/{arch}.{ext}", *name, "amd64");
  if (!place.ok() || !*place) return 0;
  COOPER_ASSERT((*place)->image.find("/../") == std::string::npos && (*place)->image.starts_with("/srv/"));
  return 0;
}
