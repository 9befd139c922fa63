// What the runtime finds on disk and hears from its children, as arbitrary bytes: state.json, exit.json, the lines of a
// lock file, messages of a container's init; and the texts of annotations.
#include <sys/socket.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "container/core_scheduling.h"
#include "container/landlock.h"
#include "container/number_list.h"
#include "container/state.h"
#include "container/sync.h"
#include "sys/socket.h"

namespace {

using namespace cooper;  // NOLINT(google-build-using-namespace)

void read_records(const std::string& text) {
  if (const auto record = container::parse_state_record(text, "state.json"); record.ok()) {
    const std::string once = container::print_state_record(*record);
    const auto again = container::parse_state_record(once, "state.json");
    if (!again.ok() || container::print_state_record(*again) != once) std::abort();
  }
  if (const auto record = container::parse_exit_record(text, "exit.json"); record.ok()) {
    const std::string once = container::print_exit_record(*record);
    const auto again = container::parse_exit_record(once, "exit.json");
    if (!again.ok() || container::print_exit_record(*again) != once) std::abort();
    (void)record->status.shell_code();
  }
  container::StateRecord first;
  container::parse_first_lines(text, first);
  container::StateRecord second;
  const std::string lines = container::print_first_lines(first);
  container::parse_first_lines(lines, second);
  if (container::print_first_lines(second) != lines) std::abort();
}

void hear(std::string_view bytes) {
  static const auto pair = sys::socketpair(SOCK_SEQPACKET);
  if (!pair.ok() || bytes.empty() || bytes.size() > container::kMaxMessage) return;
  if (!sys::send_message(pair->first, bytes).ok()) return;
  const auto message = container::receive_message(pair->second);
  if (!message.ok() && message.error().message().empty() && bytes.size() < 2) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  read_records(text);
  hear(text);
  (void)container::parse_core_scheduling(text).ok();
  (void)container::parse_landlock(text).ok();
  if (const auto list = container::parse_number_list(text);
      list && !list->empty() && list->back() > container::kMaxListedNumber)
    std::abort();
  return 0;
}
