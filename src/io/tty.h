// Terminals: size, and raw mode that is always taken back.
#pragma once

#include <termios.h>

#include <cstdint>
#include <optional>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::io {

bool is_terminal(BorrowedFd fd);

struct WindowSize {
  std::uint16_t rows = 0;
  std::uint16_t columns = 0;
};
Result<WindowSize> window_size(BorrowedFd terminal);
Status set_window_size(BorrowedFd terminal, WindowSize size);
// Size of the terminal behind standard output, else input; none when neither is one that knows its size.
std::optional<WindowSize> caller_window_size();

// Raw mode of a terminal (every byte is passed on as typed, nothing is echoed, no signal keys) until destroyed. Deadly
// signals that no handler takes (SEGV, ABRT, BUS, FPE, ILL) also restore it. At most one at a time in a process. The
// descriptor stays the caller's.
class RawMode {
 public:
  static Result<RawMode> enter(BorrowedFd terminal);
  RawMode(RawMode&& other) noexcept : fd_(other.fd_), saved_(other.saved_) { other.fd_ = -1; }
  RawMode& operator=(RawMode&&) = delete;
  ~RawMode() { restore(); }
  // Idempotent.
  void restore();
  // Raw again after somebody else changed the settings (a shell, between stop and continue).
  void reapply();

 private:
  RawMode(int fd, const struct termios& saved) : fd_(fd), saved_(saved) {}
  int fd_;
  struct termios saved_;
};

}  // namespace cooper::io
