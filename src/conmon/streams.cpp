#include "conmon/streams.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <termios.h>

#include <algorithm>

#include "sys/file.h"

namespace cooper::conmon {
namespace {

using monitor::protocol::Stream;

constexpr std::size_t kRead = std::size_t{32} << 10;
constexpr int kReadsAtOnce = 16;       // then others have their turn
constexpr int kTerminalRetryMs = 200;  // a terminal that no process has open may be opened again
constexpr std::size_t kKeptErrors = std::size_t{128} << 10;
// A process that the container left behind may write for ever.
constexpr std::size_t kDrainLimit = std::size_t{4} << 20;

}  // namespace

Result<ChildStdio> Streams::make_pipes(bool terminal, bool with_input) {
  terminal_ = terminal;
  keep_errors_ = true;
  ChildStdio out;
  ASSIGN_OR_RETURN(sys::Pipe errors, sys::pipe2());
  RETURN_IF_ERROR(sys::fcntl_setfl(errors.read, O_NONBLOCK));
  sources_[1].fd = std::move(errors.read);
  sources_[1].stream = Stream::kStderr;
  out.err = std::move(errors.write);
  RETURN_IF_ERROR(watch(sources_[1]));
  if (terminal) return out;
  ASSIGN_OR_RETURN(sys::Pipe output, sys::pipe2());
  RETURN_IF_ERROR(sys::fcntl_setfl(output.read, O_NONBLOCK));
  sources_[0].fd = std::move(output.read);
  out.out = std::move(output.write);
  RETURN_IF_ERROR(watch(sources_[0]));
  if (!with_input) return out;
  ASSIGN_OR_RETURN(sys::Pipe input, sys::pipe2());
  RETURN_IF_ERROR(sys::fcntl_setfl(input.write, O_WRONLY | O_NONBLOCK));
  in_ = std::move(input.write);
  out.in = std::move(input.read);
  return out;
}

Status Streams::take_terminal(UniqueFd terminal) {
  struct termios settings = {};
  if (::tcgetattr(terminal.get(), &settings) != 0)
    return Error::from_errno(errno, "read the settings of the container's terminal");
  settings.c_oflag |= ONLCR;
  if (::tcsetattr(terminal.get(), TCSANOW, &settings) != 0)
    return Error::from_errno(errno, "set up the container's terminal");
  RETURN_IF_ERROR(sys::fcntl_setfl(terminal, O_RDWR | O_NONBLOCK));
  // The loop knows a descriptor once: input gets one of its own.
  ASSIGN_OR_RETURN(in_, sys::dup_cloexec(terminal));
  sources_[0].fd = std::move(terminal);
  if (size_) (void)!io::set_window_size(sources_[0].fd, *size_).ok();
  RETURN_IF_ERROR(watch(sources_[0]));
  if (!in_buffer_.empty()) flush_input();
  return {};
}

Status Streams::watch(Source& source) {
  if (source.watched || !source.fd) return {};
  RETURN_IF_ERROR(loop_.add(source.fd, EPOLLIN, [this, &source](std::uint32_t) { on_readable(source); }));
  source.watched = true;
  return {};
}

void Streams::unwatch(Source& source) {
  if (source.watched) loop_.remove(source.fd);
  source.watched = false;
}

void Streams::on_readable(Source& source) {
  for (int i = 0; i < kReadsAtOnce; ++i) {
    if (hooks_.held()) {
      hooks_.drained();
      unwatch(source);
      return;
    }
    const Read read = read_once(source);
    if (read == Read::kSome) continue;
    hooks_.drained();
    if (read == Read::kEnd) end_or_retry(source);
    return;
  }
}

Streams::Read Streams::read_once(Source& source) {
  if (!source.fd) return Read::kNothing;
  std::array<char, kRead> buffer;
  const auto n = sys::read(source.fd, buffer);
  if (n.ok() && *n > 0) {
    deliver(source.stream, {buffer.data(), *n});
    return Read::kSome;
  }
  return !n.ok() && n.error().errno_value() == EAGAIN ? Read::kNothing : Read::kEnd;
}

void Streams::deliver(Stream stream, std::string_view data) {
  if (stream == Stream::kStderr && keep_errors_) {
    errors_.append(data);
    if (errors_.size() > kKeptErrors) release_errors();
    return;
  }
  hooks_.output(stream, data);
}

// A terminal says EIO while no process has it open; a pipe ends for good.
void Streams::end_or_retry(Source& source) {
  unwatch(source);
  if (!terminal_ || source.stream == Stream::kStderr) {
    source.fd.reset();
    return;
  }
  source.asleep = true;
  (void)loop_.add_timer(kTerminalRetryMs, [this, &source] {
    source.asleep = false;
    (void)!watch(source).ok();
  });
}

std::string Streams::take_errors() {
  while (read_once(sources_[1]) == Read::kSome) continue;
  return std::exchange(errors_, {});
}

void Streams::release_errors() {
  keep_errors_ = false;
  const std::string held = std::exchange(errors_, {});
  if (held.empty()) return;
  hooks_.output(Stream::kStderr, held);
  hooks_.drained();
}

void Streams::update_flow() {
  if (hooks_.held()) return;  // unwatched by their next event
  for (Source& source : sources_) {
    if (!source.asleep) (void)!watch(source).ok();
  }
}

void Streams::drain() {
  for (Source& source : sources_) {
    std::size_t rounds = kDrainLimit / kRead;
    while (rounds-- > 0 && read_once(source) == Read::kSome) continue;
    unwatch(source);
    source.fd.reset();
  }
  lose_input();
}

void Streams::write_input(std::string_view data) {
  if (in_end_ || (!in_ && !terminal_)) return;
  in_buffer_.append(data);
  if (in_ && !in_watched_) flush_input();
  if (in_buffer_.size() - in_offset_ >= kInputLimit && !choked_) {
    choked_ = true;
    hooks_.choked(true);
  }
}

void Streams::close_input() {
  if (!in_ || terminal_) return;
  in_end_ = true;
  if (!in_watched_) flush_input();
}

// Writes what the container takes; watches for more room while something is left.
void Streams::flush_input() {
  while (in_offset_ < in_buffer_.size()) {
    const auto n = sys::write(in_, std::string_view(in_buffer_).substr(in_offset_));
    if (n.ok()) {
      in_offset_ += *n;
      continue;
    }
    if (n.error().errno_value() != EAGAIN) {
      lose_input();  // the container has closed its input: what comes is discarded
      return;
    }
    if (!in_watched_ && loop_.add(in_, EPOLLOUT, [this](std::uint32_t) { flush_input(); }).ok()) in_watched_ = true;
    in_buffer_.erase(0, std::exchange(in_offset_, 0));
    return;
  }
  in_buffer_ = std::string();
  in_offset_ = 0;
  if (in_watched_) loop_.remove(in_);
  in_watched_ = false;
  if (in_end_) in_.reset();
  if (std::exchange(choked_, false)) hooks_.choked(false);
}

void Streams::lose_input() {
  if (in_watched_) loop_.remove(in_);
  in_watched_ = false;
  in_.reset();
  in_end_ = true;
  in_buffer_ = std::string();
  in_offset_ = 0;
  if (std::exchange(choked_, false)) hooks_.choked(false);
}

void Streams::resize(std::uint16_t rows, std::uint16_t columns) {
  if (!terminal_) return;
  if (sources_[0].fd) {
    (void)!io::set_window_size(sources_[0].fd, {rows, columns}).ok();
  } else {
    size_ = io::WindowSize{rows, columns};
  }
}

}  // namespace cooper::conmon
