// Any bytes: no crash, and what was read prints to a document that reads the same.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "spec/oci_runtime/parse.h"
#include "spec/oci_runtime/print.h"
#include "spec/oci_runtime/versions.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cooper;  // NOLINT(google-build-using-namespace)
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (const auto config = oci::parse_config(text); config.ok()) {
    const std::string once = oci::print_config(*config);
    const auto again = oci::parse_config(once);
    if (!again.ok() || oci::print_config(*again) != once) std::abort();
  }
  (void)oci::describe_newer_members(text).ok();
  (void)oci::parse_process(text).ok();
  (void)oci::parse_resources(text).ok();
  (void)oci::parse_state(text).ok();
  return 0;
}
