#include "conmon/control.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include <array>

#include "base/strings.h"
#include "sys/file.h"

namespace cooper::conmon {
namespace {

constexpr std::size_t kMaxLine = 256;
constexpr int kResize = 1;
constexpr int kReopenLogs = 2;

}  // namespace

void handle_line(Fifo fifo, std::string_view line, const ControlHooks& hooks) {
  std::vector<std::string_view> words;
  for (const std::string_view word : split(line, ' ')) {
    if (!word.empty()) words.push_back(word);
  }
  int request = kResize;
  if (fifo == Fifo::kControl) {
    if (words.empty()) return;
    request = parse_number<int>(words[0]).value_or(0);
    words.erase(words.begin());
  }
  if (request == kReopenLogs) hooks.reopen_logs();
  if (request != kResize || words.size() != 2) return;
  const auto rows = parse_number<std::uint16_t>(words[0]);
  const auto columns = parse_number<std::uint16_t>(words[1]);
  if (rows && columns) hooks.resize(*rows, *columns);
}

Status Control::open(const std::string& directory) {
  RETURN_IF_ERROR(open_one(directory + "/ctl", control_));
  return open_one(directory + "/winsz", window_size_);
}

Status Control::open_one(const std::string& path, Channel& channel) {
  Status removed = sys::unlinkat(sys::kCwd, path);
  if (!removed.ok() && removed.error().errno_value() != ENOENT)
    return std::move(removed).error().with("replace fifo " + quoted(path));
  Status made = sys::mknodat(sys::kCwd, path, S_IFIFO | 0660, 0);
  if (!made.ok()) return std::move(made).error().with("make fifo " + quoted(path));
  // Open for writing too: the end of one writer is no end of file.
  ASSIGN_OR_RETURN(channel.fd, sys::openat(sys::kCwd, path, O_RDWR | O_NONBLOCK | O_NOFOLLOW));
  return loop_.add(channel.fd, EPOLLIN, [this, &channel](std::uint32_t) { on_readable(channel); });
}

void Control::on_readable(Channel& channel) {
  std::array<char, 4096> buffer;
  const auto n = sys::read(channel.fd, buffer);
  if (!n.ok()) return;
  channel.text.append(buffer.data(), *n);
  std::size_t end = 0;
  while ((end = channel.text.find('\n')) != std::string::npos) {
    handle_line(channel.fifo, std::string_view(channel.text).substr(0, end), hooks_);
    channel.text.erase(0, end + 1);
  }
  if (channel.text.size() > kMaxLine) channel.text.clear();
}

}  // namespace cooper::conmon
