// The text of /proc/PID/stat, whose command name is chosen by the process: any bytes.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "sys/process.h"
#include "sys/tables.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto stat = cooper::sys::parse_process_stat(text); stat.ok() && stat->state == '\0' && text.empty())
    std::abort();
  // Words of a command line and of configurations.
  if (const auto signal = cooper::sys::signal_from_name(text); signal && (*signal < 1 || *signal > 64)) std::abort();
  (void)cooper::sys::capability_from_name(text);
  (void)cooper::sys::rlimit_from_name(text);
  return 0;
}
