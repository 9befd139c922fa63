// Pod manifests as arbitrary bytes: what is accepted prints to a text that means the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "pod/manifest.h"
#include "pod/query.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cooper::pod;
  const std::string text(reinterpret_cast<const char*>(data), size);
  (void)parse_timestamp_ms(text);
  (void)looks_like_prefix(text);
  const auto manifest = parse_manifest(text);
  if (!manifest.ok()) return 0;
  const std::string printed = print_manifest(*manifest);
  const auto again = parse_manifest(printed);
  if (!again.ok() || print_manifest(*again) != printed) std::abort();
  // Names become paths below the pod.
  for (const AppManifest& entry : manifest->apps) {
    if (entry.app.name.find('/') != std::string::npos) std::abort();
    for (const auto& volume : entry.app.volumes) {
      if (volume.pod_volume.find('/') != std::string::npos) std::abort();
    }
  }
  return 0;
}
