// What the runtime finds on disk and hears from its children, as arbitrary bytes: records of containers and the
// documents in them, messages of a container's init, what lies beside the images of a checkpoint; and the texts of
// annotations.
#include <sys/socket.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "container/core_scheduling.h"
#include "container/criu_parts.h"
#include "container/landlock.h"
#include "container/number_list.h"
#include "container/record_file.h"
#include "container/state.h"
#include "container/sync.h"
#include "io/mountinfo.h"
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
  container::RecordParts parts;
  (void)container::parse_record_parts(text, "record", parts).ok();
  container::RecordParts after;
  const std::string ours = "coop container 1\n" + text;
  if (container::parse_record_parts(ours, "record", after).ok() && after.state.size() > text.size()) std::abort();
}

// What lies beside the images of a checkpoint, which may come from anywhere.
void read_images(const std::string& text) {
  if (const auto notes = container::parse_notes(text, "cooper.json"); notes.ok()) {
    const auto again = container::parse_notes(container::print_notes(*notes), "cooper.json");
    if (!again.ok() || *again != *notes) std::abort();
    (void)container::inherited_streams({text, text}, *notes);
    (void)container::restored_mounts({{text, text, true}}, *notes, true);
  }
  (void)container::parse_descriptors(text, "descriptors.json").ok();
  (void)container::advice_for(text);
  (void)criu::last_errors(text);
  (void)cooper::io::parse_mount_lines(text);
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
  read_images(text);
  hear(text);
  (void)container::parse_core_scheduling(text).ok();
  (void)container::parse_landlock(text).ok();
  if (const auto list = container::parse_number_list(text);
      list && !list->empty() && list->back() > container::kMaxListedNumber)
    std::abort();
  return 0;
}
