// The host's hosts file and a host name, as arbitrary bytes: what a container gets ends in a line feed and has its
// name.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "network/support_files.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cooper::network;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string_view name = text.substr(0, text.find('\n'));
  const std::string_view file = text.substr(name.size());
  if (!check_hostname(name).ok()) return 0;
  for (const Mode mode : {Mode::kNone, Mode::kHost}) {
    const std::string hosts = hosts_text(mode, name, file);
    if (hosts.empty() || hosts.back() != '\n' || hosts.find(name) == std::string::npos) std::abort();
  }
  return 0;
}
