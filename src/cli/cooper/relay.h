// The pieces of a foreground session: output that never blocks the loop, signals as events, standard input.
#pragma once

#include <signal.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::cli {

// Bytes on their way to a descriptor that other processes share, so that it cannot be made non-blocking: no more is
// written at once than a ready descriptor takes.
class OutputQueue {
 public:
  explicit OutputQueue(BorrowedFd fd);
  void add(std::string_view data);
  bool empty() const { return sent_ == data_.size(); }
  BorrowedFd fd() const { return fd_; }
  // Writes while the descriptor is ready. After an error (gone()) everything is dropped.
  void flush();
  // The reader went away (EPIPE), or writing fails for another reason.
  bool gone() const { return errno_ != 0; }
  void abandon(int error);
  int error() const { return errno_; }

 private:
  BorrowedFd fd_;
  std::size_t chunk_;
  std::string data_;
  std::size_t sent_ = 0;
  int errno_ = 0;
};

// Signals that would end or change this process, as events; to be opened before what they are passed on to is started,
// or one that comes in between ends only us. The mask is restored when destroyed. Children have to reset theirs, as
// those of the rooms container and monitor do.
class SignalInbox {
 public:
  static Result<SignalInbox> open();
  // None when not wanted: what is started goes on without us.
  static Result<std::optional<SignalInbox>> open_if(bool wanted);
  SignalInbox(SignalInbox&& other) noexcept
      : fd_(std::move(other.fd_)), old_mask_(other.old_mask_), active_(other.active_) {
    other.active_ = false;
  }
  SignalInbox& operator=(SignalInbox&&) = delete;
  ~SignalInbox() { close(); }

  BorrowedFd fd() const { return fd_; }
  // Numbers in order of arrival; empty when there is none now.
  std::vector<int> take();
  // From now on signals act on this process again.
  void close();

 private:
  SignalInbox(UniqueFd fd, const sigset_t& old_mask) : fd_(std::move(fd)), old_mask_(old_mask), active_(true) {}
  UniqueFd fd_;
  sigset_t old_mask_;
  bool active_ = false;
};

// True for what --sig-proxy passes on: not WINCH, CHLD, CONT, PIPE and their like.
bool is_proxied(int signal);

// What a pipe or terminal has now, at most `most` bytes; nullopt at its end (also after an error: nothing more will
// come).
std::optional<std::string> read_some(BorrowedFd fd, std::size_t most);

// Writing where nobody reads is an error from now on, no signal.
void ignore_broken_pipes();

// This process ends by the signal, as if it had never been caught.
[[noreturn]] void die_by_signal(int signal);

}  // namespace cooper::cli
