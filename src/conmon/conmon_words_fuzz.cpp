// Words of a command line, lines of the control fifo, notifications, lines for the journal.
#include <cstdint>
#include <string_view>

#include "base/strings.h"
#include "conmon/control.h"
#include "conmon/journal.h"
#include "conmon/notify_relay.h"
#include "conmon/options.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cooper::conmon;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> words;
  for (const std::string_view word : cooper::split(text, '\n')) words.emplace_back(word);
  if (const auto options = parse_options(words, "/"); options.ok() && !options->help && !options->version)
    (void)runtime_argv(*options, "/socket");
  const ControlHooks hooks = {[](std::uint16_t, std::uint16_t) {}, [] {}};
  handle_line(Fifo::kControl, text, hooks);
  handle_line(Fifo::kWindowSize, text, hooks);
  if (allowed_notifications(text).size() > size + 1) __builtin_trap();
  std::string_view line = text;
  (void)take_priority(line, cooper::monitor::protocol::Stream::kStdout);
  return 0;
}
