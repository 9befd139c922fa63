#include "cli/cooper/progress_line.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/strings.h"
#include "cli/cooper/output.h"
#include "io/event_loop.h"
#include "io/tty.h"
#include "sys/file.h"

namespace cooper::cli {
namespace {

void show(const std::string& text) {
  // A picture nobody sees.
  (void)!sys::write_all(BorrowedFd(STDERR_FILENO), text).ok();
}

}  // namespace

ProgressLine::ProgressLine(bool shown) : shown_(shown && io::is_terminal(BorrowedFd(STDERR_FILENO))) {}

void ProgressLine::update(std::string_view what, std::uint64_t done_bytes, std::uint64_t total_bytes) {
  if (!shown_) return;
  const std::int64_t now = io::monotonic_ms();
  if (now - drawn_ms_ < 100) return;
  drawn_ms_ = now;
  std::string text = fmt::format("\r{} {}", shorten(what, 40), format_bytes(done_bytes));
  if (total_bytes != 0) {
    text += fmt::format(" of {} ({}%)", format_bytes(total_bytes),
                        std::min<std::uint64_t>(done_bytes * 100 / total_bytes, 100));
  }
  show(text + "\x1b[K");
}

void ProgressLine::clear() {
  if (shown_ && drawn_ms_ != 0) show("\r\x1b[K");
  drawn_ms_ = 0;
}

}  // namespace cooper::cli
