#include "cli/cooper/progress_display.h"

#include <unistd.h>

#include <cstdlib>

#include "io/event_loop.h"
#include "sys/file.h"

namespace cooper::cli {
namespace {

using State = fetch::TransferProgress::State;

constexpr std::int64_t kDrawMs = 100;
// What is over before that was not worth a look.
constexpr std::int64_t kFirstDrawMs = 300;

void show(const std::string& text) {
  // A picture nobody sees.
  if (!text.empty()) (void)!sys::write_all(BorrowedFd(STDERR_FILENO), text).ok();
}

io::WindowSize window() {
  return window_to_draw(io::window_size(BorrowedFd(STDERR_FILENO)), ::secure_getenv("COLUMNS"));
}

}  // namespace

bool WorkItems::update(std::string_view what, std::uint64_t done_bytes, std::uint64_t total_bytes) {
  std::size_t at = current_;
  if (at >= items_.size() || items_[at].digest != what) {
    at = 0;
    while (at < items_.size() && items_[at].digest != what) ++at;
  }
  if (at == items_.size()) {
    items_.emplace_back();
    items_.back().digest = what;
  }
  fetch::TransferProgress& item = items_[at];
  item.done_bytes = done_bytes;
  item.total_bytes = total_bytes;
  if (done_bytes == 0 && total_bytes != 0) {
    item.state = State::kWaiting;
    return false;
  }
  const bool other = at != current_ || item.state == State::kWaiting;
  // One after the other: of what the last one was nothing more comes, for now.
  if (at != current_ && current_ < items_.size() && items_[current_].state == State::kRunning)
    items_[current_].state = State::kDone;
  current_ = at;
  item.state = total_bytes != 0 && done_bytes >= total_bytes ? State::kDone : State::kRunning;
  return other;
}

ProgressDisplay::ProgressDisplay(bool quiet) : where_(LayerLines::place(quiet)), lines_(where_) {}

image::Progress ProgressDisplay::callback() {
  if (where_ == LayerLines::Where::kNowhere) return {};
  return [this](std::string_view what, std::uint64_t done, std::uint64_t total) { update(what, done, total); };
}

void ProgressDisplay::update(std::string_view what, std::uint64_t done_bytes, std::uint64_t total_bytes) {
  if (where_ == LayerLines::Where::kNowhere) return;
  if (what.empty()) return clear();
  const std::int64_t now = io::monotonic_ms();
  if (begun_ms_ == 0) begun_ms_ = now;
  const bool other = work_.update(what, done_bytes, total_bytes);
  if (now - begun_ms_ < kFirstDrawMs || (!other && now - drawn_ms_ < kDrawMs)) return;
  drawn_ms_ = now;
  const io::WindowSize size = window();
  show(lines_.work(work_.items(), now, size.rows, size.columns));
}

void ProgressDisplay::clear() {
  if (begun_ms_ == 0) return;
  show(lines_.clear(window().columns));
  work_.clear();
  begun_ms_ = 0;
}

}  // namespace cooper::cli
