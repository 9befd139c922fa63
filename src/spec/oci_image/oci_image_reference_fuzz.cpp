// Any bytes as an image name or a platform: no crash; a name that parses is safe as a file name and survives a round
// trip.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "spec/oci_image/platform.h"
#include "spec/oci_image/reference.h"

namespace oci = cooper::spec::oci_image;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.ends_with('\n')) text.remove_suffix(1);  // seeds are files of text
  (void)oci::parse_platform(text).ok();
  const auto reference = oci::parse_reference(text);
  if (!reference.ok()) return 0;
  const auto again = oci::parse_reference(reference->str());
  COOPER_ASSERT(again.ok() && *again == *reference);
  for (const oci::Reference& candidate : oci::candidates(*reference)) {
    const std::string name = candidate.name();
    COOPER_ASSERT(!name.empty() && name[0] != '.' && name.find('+') == std::string::npos &&
                  name.find('\0') == std::string::npos);
  }
  return 0;
}
