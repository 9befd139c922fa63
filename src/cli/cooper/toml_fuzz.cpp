#include <cstddef>
#include <cstdint>

#include "cli/cooper/toml.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  (void)cooper::cli::toml::parse(std::string_view(reinterpret_cast<const char*>(data), size), "fuzz");
  return 0;
}
