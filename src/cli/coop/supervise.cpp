#include "cli/coop/supervise.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>

#include "log/log.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/retry.h"

namespace cooper::cli::coop {
namespace {

constexpr BorrowedFd kStdin{STDIN_FILENO};
constexpr BorrowedFd kStdout{STDOUT_FILENO};

// Stays with this process: SIGCHLD is about our children, SIGURG is noise of the Go runtimes that drive us (runc's
// rule).
bool forwarded(std::uint32_t signal) {
  return signal != SIGCHLD && signal != SIGURG;
}

}  // namespace

Status check_terminal_input() {
  if (io::is_terminal(kStdin)) return {};
  return Error(Errc::kInvalidArgument,
               "the input device is not a TTY: a process with a terminal needs one for its input");
}

std::optional<oci::ConsoleSize> caller_terminal_size() {
  const auto size = io::caller_window_size();
  if (!size) return std::nullopt;
  return oci::ConsoleSize{size->rows, size->columns};
}

// Copies between the caller's standard streams and the pty master. Never blocks on the master; the caller's streams are
// written only when they take data, in pieces that a pipe takes at once.
class Supervisor::Relay {
 public:
  explicit Relay(BorrowedFd master) : master_(master) {
    (void)!sys::fcntl_setfl(master, O_NONBLOCK | O_RDWR).ok();
    resize();
  }

  void resize() const {
    if (const auto size = io::caller_window_size()) (void)!io::set_window_size(master_, *size).ok();
  }

  // poll entries: caller's input, master, caller's output.
  void prepare(std::array<pollfd, 3>& fds) const {
    fds[0] = {in_open_ && in_.size < in_.bytes.size() ? STDIN_FILENO : -1, POLLIN, 0};
    short master_events = 0;
    if (out_.size == 0) master_events |= POLLIN;
    if (in_.size > 0) master_events |= POLLOUT;
    fds[1] = {master_open_ && master_events != 0 ? master_.get() : -1, master_events, 0};
    fds[2] = {out_.size > 0 ? STDOUT_FILENO : -1, POLLOUT, 0};
  }

  void handle(const std::array<pollfd, 3>& fds) {
    if (fds[0].revents != 0) read_input();
    if ((fds[1].revents & POLLOUT) != 0) write_master();
    if ((fds[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && out_.size == 0) read_master();
    if (fds[2].revents != 0) write_output();
  }

  // The process is gone: what it wrote and nobody has read yet.
  void drain() {
    while (true) {
      while (out_.size > 0) write_output();
      if (!master_open_) return;
      const std::size_t before = out_.size;
      read_master();
      if (out_.size == before) return;
    }
  }

 private:
  struct Buffer {
    std::array<char, 4096> bytes{};
    std::size_t size = 0;
    void consume(std::size_t n) {
      size -= n;
      std::char_traits<char>::move(bytes.data(), bytes.data() + n, size);
    }
  };

  void read_input() {
    const auto n = sys::read(kStdin, std::span(in_.bytes).subspan(in_.size));
    if (n.ok() && *n > 0) {
      in_.size += *n;
      return;
    }
    if (!n.ok() && n.error().errno_value() == EAGAIN) return;
    in_open_ = false;
    // A caller's input that ends (a pipe, a file) is the end of the terminal's input: the character that says so in
    // cooked mode.
    struct termios mode = {};
    if (in_.size < in_.bytes.size() && ::tcgetattr(master_.get(), &mode) == 0 &&
        (mode.c_lflag & static_cast<tcflag_t>(ICANON)) != 0) {
      in_.bytes[in_.size++] = static_cast<char>(mode.c_cc[VEOF]);
    }
  }

  void write_master() {
    const auto n = sys::write(master_, std::string_view(in_.bytes.data(), in_.size));
    if (n.ok()) {
      in_.consume(*n);
    } else if (n.error().errno_value() != EAGAIN) {
      in_.size = 0;  // nobody reads it any more
    }
  }

  void read_master() {
    const auto n = sys::read(master_, std::span(out_.bytes).subspan(out_.size));
    if (n.ok() && *n > 0) {
      out_.size += *n;
    } else if (n.ok() || n.error().errno_value() != EAGAIN) {
      master_open_ = false;  // EIO: no process has the terminal open
    }
  }

  void write_output() {
    const auto n = sys::write(kStdout, std::string_view(out_.bytes.data(), out_.size));
    if (n.ok()) {
      out_.consume(*n);
    } else if (n.error().errno_value() == EAGAIN) {
      pollfd wait = {STDOUT_FILENO, POLLOUT, 0};
      (void)::poll(&wait, 1, -1);
    } else {
      out_.size = 0;  // the reader went away; the container goes on
    }
  }

  BorrowedFd master_;
  bool in_open_ = true;
  bool master_open_ = true;
  Buffer in_, out_;
};

Result<Supervisor> Supervisor::create() {
  sigset_t all;
  (void)::sigfillset(&all);
  if (::sigprocmask(SIG_SETMASK, &all, nullptr) != 0) return Error::from_errno(errno, "block signals");
  const int fd = ::signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) return Error::from_errno(errno, "signalfd");
  return Supervisor(UniqueFd(fd));
}

Status Supervisor::take_terminal() {
  if (!io::is_terminal(kStdin)) return {};
  auto raw = io::RawMode::enter(kStdin);
  if (!raw.ok()) return std::move(raw).error();
  raw_.emplace(std::move(raw).value());
  return {};
}

void Supervisor::watch(BorrowedFd fd, std::function<bool()> ready) {
  watched_.emplace_back(fd.get(), std::move(ready));
}

// For poll(2), rounded up: who wakes up early would go to sleep for nothing.
int Supervisor::time_left() const {
  if (!due_) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*due_ - std::chrono::steady_clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, std::numeric_limits<int>::max()));
}

void Supervisor::end_when_due(const container::Created& process) {
  if (!due_ || std::chrono::steady_clock::now() < *due_) return;
  if (timed_out_ || limit_->grace.count() == 0) {
    (void)!sys::pidfd_send_signal(process.pidfd, SIGKILL).ok();
    due_.reset();
  } else {
    (void)!sys::pidfd_send_signal(process.pidfd, SIGTERM).ok();
    (void)!sys::pidfd_send_signal(process.pidfd, SIGCONT).ok();
    due_ = std::chrono::steady_clock::now() + limit_->grace;
  }
  timed_out_ = true;
}

Result<int> Supervisor::wait_readable(BorrowedFd fd, BorrowedFd pidfd) {
  constexpr std::array kIgnored{SIGCHLD, SIGURG, SIGWINCH, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU};
  while (true) {
    std::array<pollfd, 3> fds{{{signals_.get(), POLLIN, 0}, {fd.get(), POLLIN, 0}, {pidfd.get(), POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return Error::from_errno(errno, "poll");
    }
    if (fds[0].revents != 0) {
      struct signalfd_siginfo info = {};
      if (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info) &&
          std::ranges::find(kIgnored, static_cast<int>(info.ssi_signo)) == kIgnored.end())
        return static_cast<int>(info.ssi_signo);
      continue;
    }
    if (fds[2].revents != 0) return 0;
    if (fds[1].revents == 0) continue;
    char byte = 0;
    auto n = sys::read(fd, std::span(&byte, 1));
    if (n.ok()) return 0;
    if (n.error().errno_value() != EAGAIN) return std::move(n).error().with("wait for a descriptor");
  }
}

Status Supervisor::handle_signals(const container::Created& process, Relay* relay,
                                  std::optional<sys::ExitStatus>& status) {
  while (true) {
    struct signalfd_siginfo info = {};
    const ssize_t n = ::read(signals_.get(), &info, sizeof info);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return {};
    if (n != static_cast<ssize_t>(sizeof info)) return Error::from_errno(n < 0 ? errno : EIO, "read signals");
    if (info.ssi_signo == SIGCHLD) {
      int wait_status = 0;
      while (true) {
        const pid_t pid = sys::retry([&] { return ::waitpid(-1, &wait_status, WNOHANG); });
        if (pid < 0 && errno != ECHILD) return Error::from_errno(errno, "wait for processes");
        if (pid <= 0) break;
        if (pid != process.pid) continue;
        // Others that have ended are collected by whoever inherits them from us.
        status = sys::exit_status_from_wait(wait_status);
        return {};
      }
    } else if (info.ssi_signo == SIGWINCH && relay != nullptr) {
      relay->resize();
    } else if (forwarded(info.ssi_signo)) {
      // ESRCH: it has ended and its SIGCHLD is on the way.
      (void)!sys::pidfd_send_signal(process.pidfd, static_cast<int>(info.ssi_signo)).ok();
    }
  }
}

Result<sys::ExitStatus> Supervisor::wait_for(container::Created process) {
  auto status = follow(process);
  // A process that nobody watches would go on with nobody to tell its end.
  if (!status.ok()) (void)!sys::pidfd_send_signal(process.pidfd, SIGKILL).ok();
  raw_.reset();
  return status;
}

Result<sys::ExitStatus> Supervisor::follow(const container::Created& process) {
  std::optional<Relay> relay;
  if (process.console.valid()) relay.emplace(process.console);
  std::optional<sys::ExitStatus> status;
  if (limit_) due_ = std::chrono::steady_clock::now() + limit_->limit;
  std::vector<pollfd> fds;
  while (!status) {
    std::array<pollfd, 3> streams{{{-1, 0, 0}, {-1, 0, 0}, {-1, 0, 0}}};
    if (relay) relay->prepare(streams);
    fds.assign({{signals_.get(), POLLIN, 0}, streams[0], streams[1], streams[2]});
    for (const auto& watched : watched_) fds.push_back({watched.first, POLLIN, 0});
    if (::poll(fds.data(), fds.size(), time_left()) < 0) {
      if (errno != EINTR) return Error::from_errno(errno, "poll");
      continue;
    }
    end_when_due(process);
    for (std::size_t i = 0; i < watched_.size(); ++i) {
      if (fds[4 + i].revents == 0) continue;
      if (!watched_[i].second()) watched_[i].first = -1;  // poll(2) passes it over
    }
    if (relay) relay->handle({fds[1], fds[2], fds[3]});
    if (fds[0].revents != 0) RETURN_IF_ERROR(handle_signals(process, relay ? &*relay : nullptr, status));
  }
  if (relay) relay->drain();
  return *status;
}

}  // namespace cooper::cli::coop
