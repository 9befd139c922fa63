#include "io/tty.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace cooper::io {
namespace {

constexpr std::array<int, 5> kDeadly = {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL};

// What the handler of deadly signals needs; it may run at any instruction.
struct Armed {
  volatile sig_atomic_t fd = -1;
  struct termios saved = {};
};
Armed armed;

void restore_and_die(int number) {
  const int fd = armed.fd;
  if (fd >= 0) (void)::tcsetattr(fd, TCSANOW, &armed.saved);
  // The disposition is the default again (SA_RESETHAND).
  (void)::raise(number);
}

void set_deadly_handlers(void (*handler)(int)) {
  for (const int number : kDeadly) {
    struct sigaction action = {};
    action.sa_handler = handler;
    action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
    (void)::sigaction(number, &action, nullptr);
  }
}

}  // namespace

bool is_terminal(BorrowedFd fd) {
  struct termios attributes;
  return ::tcgetattr(fd.get(), &attributes) == 0;
}

Result<WindowSize> window_size(BorrowedFd terminal) {
  struct winsize size = {};
  if (::ioctl(terminal.get(), TIOCGWINSZ, &size) != 0) return Error::from_errno(errno, "read the terminal's size");
  return WindowSize{size.ws_row, size.ws_col};
}

Status set_window_size(BorrowedFd terminal, WindowSize size) {
  struct winsize raw = {};
  raw.ws_row = size.rows;
  raw.ws_col = size.columns;
  if (::ioctl(terminal.get(), TIOCSWINSZ, &raw) != 0) return Error::from_errno(errno, "set the terminal's size");
  return {};
}

std::optional<WindowSize> caller_window_size() {
  for (const int fd : {STDOUT_FILENO, STDIN_FILENO}) {
    const auto size = window_size(BorrowedFd(fd));
    if (size.ok() && size->rows != 0 && size->columns != 0) return *size;
  }
  return std::nullopt;
}

Result<RawMode> RawMode::enter(BorrowedFd terminal) {
  struct termios saved = {};
  if (::tcgetattr(terminal.get(), &saved) != 0) return Error::from_errno(errno, "read the terminal's settings");
  armed.saved = saved;
  armed.fd = terminal.get();
  set_deadly_handlers(restore_and_die);
  struct termios raw = saved;
  ::cfmakeraw(&raw);
  // Background jobs would be stopped by SIGTTOU here; that is for the shell to decide.
  if (::tcsetattr(terminal.get(), TCSANOW, &raw) != 0) {
    const int failed = errno;
    armed.fd = -1;
    set_deadly_handlers(SIG_DFL);
    return Error::from_errno(failed, "set the terminal to raw mode");
  }
  return RawMode(terminal.get(), saved);
}

void RawMode::reapply() {
  if (fd_ < 0) return;
  struct termios raw = saved_;
  ::cfmakeraw(&raw);
  (void)::tcsetattr(fd_, TCSANOW, &raw);
}

void RawMode::restore() {
  if (fd_ < 0) return;
  // Not TCSADRAIN: it would block for ever on a stopped terminal.
  (void)::tcsetattr(fd_, TCSANOW, &saved_);
  fd_ = -1;
  armed.fd = -1;
  set_deadly_handlers(SIG_DFL);
}

}  // namespace cooper::io
