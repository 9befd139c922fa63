// Files with credentials, and what helper programs print.
#include <cstddef>
#include <cstdint>
#include <string>

#include "fetch/credentials.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  (void)!cooper::fetch::parse_auth_file(text, "auth.json").ok();
  (void)!cooper::fetch::parse_helper_answer(text, "helper").ok();
  (void)!cooper::fetch::parse_credentials(text).ok();
  return 0;
}
