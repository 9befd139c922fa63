// Any bytes as an index, a manifest, a configuration, a docker-archive manifest: no crash; what parses prints to
// something that parses to the same.
#include <cstddef>
#include <cstdint>
#include <string>

#include "spec/oci_image/parse.h"
#include "spec/oci_image/print.h"

namespace oci = cooper::spec::oci_image;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  (void)oci::document_kind(text, "document").ok();
  (void)oci::check_layout_file(text, "oci-layout").ok();
  (void)oci::parse_docker_archive_manifest(text, "manifest.json").ok();
  if (const auto index = oci::parse_index(text, "index"); index.ok()) {
    const auto again = oci::parse_index(oci::print(*index), "index");
    COOPER_ASSERT(again.ok() && oci::print(*again) == oci::print(*index));
  }
  if (const auto manifest = oci::parse_manifest(text, "manifest"); manifest.ok()) {
    const auto again = oci::parse_manifest(oci::print(*manifest), "manifest");
    COOPER_ASSERT(again.ok() && oci::print(*again) == oci::print(*manifest));
  }
  if (const auto config = oci::parse_config(text, "config"); config.ok()) {
    const auto again = oci::parse_config(oci::print(*config), "config");
    COOPER_ASSERT(again.ok() && oci::print(*again) == oci::print(*config));
  }
  return 0;
}
