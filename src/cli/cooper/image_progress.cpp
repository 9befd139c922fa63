#include "cli/cooper/image_progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

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

std::string describe(const TransferProgress& layer, std::int64_t since_ms) {
  const std::string name = short_digest(layer.digest);
  switch (layer.state) {
    case State::kWaiting:
      return fmt::format("{}  waiting, {}", name, format_bytes(layer.total_bytes));
    case State::kPausing:
      return fmt::format("{}  trying again: {}", name, layer.note);
    case State::kDone:
      return fmt::format("{}  complete, {}", name, format_bytes(layer.total_bytes));
    case State::kPresent:
      return fmt::format("{}  is there already, {}", name, format_bytes(layer.total_bytes));
    case State::kFailed:
      return fmt::format("{}  failed", name);
    case State::kRunning:
      break;
  }
  // The server does not say how much it is.
  if (layer.total_bytes == 0 && layer.done_bytes != 0)
    return fmt::format("{}  {}", name, format_bytes(layer.done_bytes));
  const std::uint64_t percent = layer.total_bytes == 0 ? 100 : layer.done_bytes * 100 / layer.total_bytes;
  std::string text = fmt::format("{}  {:>3}% of {}", name, percent, format_bytes(layer.total_bytes));
  if (since_ms < 500 || layer.done_bytes == 0) return text;
  const std::uint64_t rate = (layer.done_bytes - layer.had_bytes) * 1000 / static_cast<std::uint64_t>(since_ms);
  text += fmt::format("  {}/s", format_bytes(rate));
  if (rate != 0) text += fmt::format("  {} left", time_left((layer.total_bytes - layer.done_bytes + rate - 1) / rate));
  return text;
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
  if (quiet) return Where::kNowhere;
  return io::is_terminal(BorrowedFd(STDERR_FILENO)) ? Where::kTerminal : Where::kLines;
}

std::string LayerLines::update(std::span<const TransferProgress> layers, std::int64_t now_ms, unsigned rows,
                               unsigned columns) {
  if (where_ == Where::kTerminal) return terminal(layers, now_ms, rows, columns);
  return where_ == Where::kLines ? lines(layers) : std::string();
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
    out += describe(layer, 0) + "\n";
  }
  return out;
}

std::string LayerLines::terminal(std::span<const TransferProgress> layers, std::int64_t now_ms, unsigned rows,
                                 unsigned columns) {
  // Lines that have left the window cannot be redrawn: of many layers those at work are shown.
  const std::size_t room = std::max(rows, 4U) - 2;
  std::vector<const TransferProgress*> shown;
  for (const TransferProgress& layer : layers) {
    Seen& seen = seen_[layer.digest];
    if (seen.first_ms == 0 && layer.state != State::kWaiting) seen.first_ms = now_ms;
    const bool working = layer.state == State::kRunning || layer.state == State::kPausing;
    if (layers.size() <= room || (working && shown.size() < room)) shown.push_back(&layer);
  }
  std::string out;
  if (drawn_ != 0) out += fmt::format("\x1b[{}A", drawn_);
  for (const TransferProgress* layer : shown)
    out += "\r" + shorten(describe(*layer, now_ms - seen_[layer->digest].first_ms), std::max(columns, 20U) - 1) +
           "\x1b[K\n";
  // What was there before and is not any more.
  out += "\x1b[J";
  drawn_ = static_cast<unsigned>(shown.size());
  return out;
}

}  // namespace cooper::cli
