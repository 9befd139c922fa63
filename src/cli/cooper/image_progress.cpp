#include "cli/cooper/image_progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "cli/cooper/output.h"
#include "io/tty.h"

namespace cooper::cli {
namespace {

using fetch::TransferProgress;
using State = TransferProgress::State;

std::string short_digest(const std::string& digest) {
  const std::size_t colon = digest.find(':');
  // Of a file of the web its name.
  if (colon == std::string::npos) return digest;
  return digest.substr(colon + 1, 12);
}

std::string time_left(std::uint64_t seconds) {
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (seconds < 3600) return fmt::format("{} min {:02} s", seconds / 60, seconds % 60);
  return fmt::format("{} h {:02} min", seconds / 3600, seconds / 60 % 60);
}

constexpr std::int64_t kRateMs = 1000;
constexpr std::int64_t kTellMs = 5000;
constexpr std::size_t kMinBar = 10;
constexpr std::size_t kMaxBar = 30;
constexpr std::uint64_t kLongestLeft = std::uint64_t{100} * 3600;

bool is_working(const TransferProgress& layer) {
  return layer.state == State::kRunning || layer.state == State::kPausing;
}

std::uint64_t percent(const TransferProgress& layer) {
  if (layer.total_bytes == 0) return 100;
  const auto part = static_cast<double>(layer.done_bytes) / static_cast<double>(layer.total_bytes);
  return std::min<std::uint64_t>(static_cast<std::uint64_t>(part * 100), 100);
}

std::string bar(std::uint64_t percent, std::size_t width) {
  const std::size_t inside = width - 2;
  const std::size_t full = inside * percent / 100;
  std::string out = "[" + std::string(full, '=');
  if (full < inside) out += ">" + std::string(inside - full - 1, ' ');
  return out + "]";
}

// What is said of a layer, longest first; the first one that has room is shown. `rate` 0: not known.
std::vector<std::string> describe(const TransferProgress& layer, std::uint64_t rate) {
  const std::string total = format_bytes(layer.total_bytes);
  switch (layer.state) {
    case State::kWaiting:
      return {"waiting, " + total, "waiting"};
    case State::kPausing:
      return {"trying again: " + layer.note};
    case State::kDone:
      return {"complete, " + format_bytes(std::max(layer.total_bytes, layer.done_bytes)), "complete"};
    case State::kPresent:
      return {"is there already, " + total, "is there already"};
    case State::kFailed:
      return {"failed"};
    case State::kRunning:
      break;
  }
  const std::string speed = rate == 0 ? "" : "  " + format_bytes(rate) + "/s";
  // Nobody says how much it is.
  if (layer.total_bytes == 0 && layer.done_bytes != 0)
    return {format_bytes(layer.done_bytes) + speed, format_bytes(layer.done_bytes)};
  const std::string part = fmt::format("{:>3}%", percent(layer));
  const std::string of = part + " of " + total;
  std::string left;
  if (rate != 0 && layer.total_bytes > layer.done_bytes) {
    const std::uint64_t seconds = (layer.total_bytes - layer.done_bytes) / rate + 1;
    if (seconds < kLongestLeft) left = "  " + time_left(seconds) + " left";
  }
  return {of + speed + left, of + speed, of, part};
}

std::string line_of(const TransferProgress& layer, std::uint64_t rate, std::size_t name_width, std::size_t columns) {
  const std::string name = shorten(short_digest(layer.digest), std::max<std::size_t>(columns / 2, 12));
  const std::vector<std::string> texts = describe(layer, rate);
  const auto fits = [&](const std::string& text) { return name.size() + 2 + text.size() <= columns; };
  const auto found = std::ranges::find_if(texts, fits);
  const std::string& text = found == texts.end() ? texts.back() : *found;
  if (layer.state == State::kRunning && layer.total_bytes != 0) {
    const std::size_t pad = std::max(name_width, name.size());
    const std::size_t taken = pad + 4 + std::max<std::size_t>(text.size(), 40);
    if (taken + kMinBar <= columns)
      return fmt::format("{:<{}}  {}  {}", name, pad, bar(percent(layer), std::min(columns - taken, kMaxBar)), text);
  }
  return shorten(name + "  " + text, columns);
}

}  // namespace

io::WindowSize window_to_draw(const Result<io::WindowSize>& terminal, const char* columns) {
  io::WindowSize out = terminal.ok() ? *terminal : io::WindowSize();
  if (out.rows == 0) out.rows = 24;
  if (out.columns == 0 && columns != nullptr) out.columns = parse_number<std::uint16_t>(columns).value_or(0);
  if (out.columns == 0) out.columns = 80;
  return out;
}

LayerLines::Where LayerLines::place(bool quiet) {
  return place(quiet, io::is_terminal(BorrowedFd(STDERR_FILENO)), ::secure_getenv("TERM"));
}

LayerLines::Where LayerLines::place(bool quiet, bool is_terminal, const char* term) {
  if (quiet) return Where::kNowhere;
  // One that cannot go back to a line it has written.
  const bool dumb = term != nullptr && std::string_view(term) == "dumb";
  return is_terminal && !dumb ? Where::kTerminal : Where::kLines;
}

std::string LayerLines::update(std::span<const TransferProgress> layers, std::int64_t now_ms, unsigned rows,
                               unsigned columns) {
  if (where_ == Where::kNowhere) return {};
  for (const TransferProgress& layer : layers) measure(layer, now_ms);
  if (where_ == Where::kTerminal) return terminal(layers, rows, columns);
  return lines(layers) + now_and_then(layers, now_ms);
}

std::string LayerLines::work(std::span<const TransferProgress> items, std::int64_t now_ms, unsigned rows,
                             unsigned columns) {
  if (where_ != Where::kLines) return update(items, now_ms, rows, columns);
  for (const TransferProgress& item : items) measure(item, now_ms);
  return now_and_then(items, now_ms);
}

std::string LayerLines::clear(unsigned columns) {
  seen_.clear();
  if (drawn_.empty()) return {};
  std::string out = up(columns) + "\r\x1b[J";
  drawn_.clear();
  return out;
}

// The rate of the last seconds rather than of all the time: what has slowed down shows.
void LayerLines::measure(const TransferProgress& layer, std::int64_t now_ms) {
  if (!is_working(layer)) return;
  Seen& seen = seen_[layer.digest];
  if (seen.first_ms == 0 || layer.done_bytes < seen.mark_bytes) {
    seen.first_ms = seen.mark_ms = seen.told_ms = now_ms;
    seen.mark_bytes = layer.done_bytes;
    seen.rate = 0;
    return;
  }
  const std::int64_t passed = now_ms - seen.mark_ms;
  if (passed < (seen.rate == 0 ? kRateMs / 2 : kRateMs)) return;
  const std::uint64_t rate = (layer.done_bytes - seen.mark_bytes) * 1000 / static_cast<std::uint64_t>(passed);
  seen.rate = seen.rate == 0 ? rate : (seen.rate * 2 + rate) / 3;
  seen.mark_ms = now_ms;
  seen.mark_bytes = layer.done_bytes;
}

std::string LayerLines::lines(std::span<const TransferProgress> layers) {
  std::string out;
  for (const TransferProgress& layer : layers) {
    Seen& seen = seen_[layer.digest];
    if (layer.attempts_failed > seen.pauses) {
      seen.pauses = layer.attempts_failed;
      out += fmt::format("{}  trying again: {}\n", short_digest(layer.digest), layer.note);
    }
    // A short rest may have come between two looks.
    const bool begun = layer.state == State::kRunning || layer.state == State::kDone;
    if (layer.had_bytes != 0 && begun && !std::exchange(seen.told_resumed, true))
      out += fmt::format("{}  going on after {} of {}\n", short_digest(layer.digest), format_bytes(layer.had_bytes),
                         format_bytes(layer.total_bytes));
    if (seen.told || (layer.state != State::kDone && layer.state != State::kPresent)) continue;
    seen.told = true;
    out += short_digest(layer.digest) + "  " + describe(layer, 0).front() + "\n";
  }
  return out;
}

std::string LayerLines::now_and_then(std::span<const TransferProgress> layers, std::int64_t now_ms) {
  std::string out;
  for (const TransferProgress& layer : layers) {
    if (layer.state != State::kRunning) continue;
    Seen& seen = seen_[layer.digest];
    if (now_ms - seen.told_ms < kTellMs) continue;
    seen.told_ms = now_ms;
    out += short_digest(layer.digest) + "  " + std::string(trim(describe(layer, seen.rate).front())) + "\n";
  }
  return out;
}

// Back to the first line drawn. A terminal that has become narrower has broken lines that were longer.
std::string LayerLines::up(unsigned columns) const {
  std::size_t rows = 0;
  for (const std::size_t width : drawn_) rows += width <= columns || columns == 0 ? 1 : (width + columns - 1) / columns;
  return rows == 0 ? std::string() : fmt::format("\x1b[{}A", rows);
}

std::string LayerLines::terminal(std::span<const TransferProgress> layers, unsigned rows, unsigned columns) {
  // Lines that have left the window cannot be redrawn: of many layers those at work are shown, and how many others.
  const std::size_t room = std::max(rows, 4U) - 2;
  const std::size_t width = std::max(columns, 20U) - 1;
  std::vector<const TransferProgress*> shown;
  std::size_t complete = 0;
  std::size_t name_width = 0;
  for (const TransferProgress& layer : layers) {
    if (layer.state == State::kDone || layer.state == State::kPresent) ++complete;
    if (layers.size() > room && (!is_working(layer) || shown.size() + 1 >= room)) continue;
    shown.push_back(&layer);
    name_width = std::max(name_width, short_digest(layer.digest).size());
  }
  std::vector<std::string> texts;
  for (const TransferProgress* layer : shown) {
    const auto seen = seen_.find(layer->digest);
    texts.push_back(line_of(*layer, seen == seen_.end() ? 0 : seen->second.rate, name_width, width));
  }
  if (layers.size() > room) texts.push_back(shorten(fmt::format("{} of {} complete", complete, layers.size()), width));
  std::string out = up(columns);
  drawn_.clear();
  for (const std::string& text : texts) {
    out += "\r" + text + "\x1b[K\n";
    drawn_.push_back(text.size());
  }
  // What was there before and is not any more.
  return out + "\x1b[J";
}

}  // namespace cooper::cli
