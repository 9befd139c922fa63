// Any bytes: no crash, and what was read prints to a document that reads the same, in both generations.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "spec/libcontainer/parse.h"
#include "spec/libcontainer/print.h"
#include "spec/libcontainer/validate.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cooper;  // NOLINT(google-build-using-namespace)
  auto config = libcontainer::parse_config(std::string(reinterpret_cast<const char*>(data), size));
  if (!config.ok()) return 0;
  (void)libcontainer::validate(*config).ok();
  for (const auto generation : {libcontainer::Generation::kNumeric, libcontainer::Generation::kNamed}) {
    config->generation = generation;
    (void)libcontainer::unprintable(*config, generation);
    const std::string once = libcontainer::print_config(*config);
    auto again = libcontainer::parse_config(once);
    if (!again.ok()) std::abort();
    again->generation = generation;  // a document without any telling member
    if (libcontainer::print_config(*again) != once) std::abort();
  }
  return 0;
}
