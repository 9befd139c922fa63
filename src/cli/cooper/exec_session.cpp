#include "cli/cooper/exec_session.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "cli/cooper/detach_keys.h"
#include "cli/cooper/relay.h"
#include "io/tty.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cooper::cli {
namespace {

constexpr std::size_t kChunk = std::size_t{32} << 10;
constexpr char kEndOfTransmission = '\x04';

class ExecSession {
 public:
  ExecSession(container::Created created, const ExecSessionOptions& options, SignalInbox signals)
      : created_(std::move(created)),
        options_(options),
        signals_(std::move(signals)),
        out_(BorrowedFd(STDOUT_FILENO)),
        keys_(created_.console ? options.detach_keys : std::string()) {}

  Result<ExecEnd> run() {
    RETURN_IF_ERROR(enter_terminal());
    while (!ended_) RETURN_IF_ERROR(wait_and_dispatch());
    raw_.reset();
    if (end_.detached) {
      RETURN_IF_ERROR(hold_console(std::move(created_.console)));
      return end_;
    }
    if (end_.signal != 0) return end_;
    RETURN_IF_ERROR(drain());
    ASSIGN_OR_RETURN(const sys::ExitStatus status, sys::waitpid(created_.pid));
    end_.exit_code = status.shell_code();
    return end_;
  }

 private:
  enum Slot : std::size_t { kProcess, kSignals, kConsole, kStdin, kOut, kSlots };

  Status enter_terminal() {
    input_is_terminal_ = io::is_terminal(BorrowedFd(STDIN_FILENO));
    if (!created_.console) return {};
    ASSIGN_OR_RETURN(const int flags, sys::fcntl_getfl(created_.console));
    RETURN_IF_ERROR(sys::fcntl_setfl(created_.console, flags | O_NONBLOCK));
    set_size();
    if (!options_.stdin_open || !input_is_terminal_) return {};
    auto raw = io::RawMode::enter(BorrowedFd(STDIN_FILENO));
    if (!raw.ok()) return std::move(raw).error();
    raw_.emplace(std::move(raw).value());
    return {};
  }

  void set_size() {
    // A process that is gone needs no size.
    if (const auto size = io::caller_window_size()) (void)!io::set_window_size(created_.console, *size).ok();
  }

  bool wants_input() const { return created_.console && options_.stdin_open && !input_ended_ && input_.empty(); }

  Status wait_and_dispatch() {
    std::array<struct pollfd, kSlots> fds = {};
    for (auto& entry : fds) entry.fd = -1;
    fds[kProcess] = {created_.pidfd.get(), POLLIN, 0};
    fds[kSignals] = {signals_.fd().get(), POLLIN, 0};
    if (created_.console && !console_ended_) {
      const short in = out_.empty() ? POLLIN : 0;
      const short out = input_.empty() ? 0 : POLLOUT;
      fds[kConsole] = {created_.console.get(), static_cast<short>(in | out), 0};
    }
    if (wants_input()) fds[kStdin] = {STDIN_FILENO, POLLIN, 0};
    if (!out_.empty()) fds[kOut] = {STDOUT_FILENO, POLLOUT, 0};
    if (::poll(fds.data(), fds.size(), -1) < 0) {
      if (errno == EINTR) return {};
      return Error::from_errno(errno, "wait for events");
    }
    if (fds[kSignals].revents != 0) handle_signals();
    if (fds[kStdin].revents != 0) read_input();
    if (fds[kOut].revents != 0) out_.flush();
    if ((fds[kConsole].revents & POLLOUT) != 0) send_input();
    if ((fds[kConsole].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && out_.empty()) read_console();
    if (fds[kProcess].revents != 0) ended_ = true;
    return {};
  }

  void read_console() {
    auto data = read_some(created_.console, kChunk);
    if (!data) {
      console_ended_ = true;
      return;
    }
    out_.add(*data);
    out_.flush();
  }

  void read_input() {
    auto data = read_some(BorrowedFd(STDIN_FILENO), kChunk);
    if (!data) {
      input_ended_ = true;
      // A terminal has no end of file; the key that stands for it has the same effect.
      if (!input_is_terminal_) input_ += kEndOfTransmission;
    } else {
      DetachWatch::Outcome typed = keys_.feed(*data);
      input_ += typed.forward;
      if (typed.detached) ended_ = end_.detached = true;
    }
    send_input();
  }

  void send_input() {
    while (!input_.empty()) {
      const auto n = sys::write(created_.console, input_);
      if (!n.ok()) {
        if (n.error().errno_value() != EAGAIN) input_.clear();
        return;
      }
      input_.erase(0, *n);
    }
  }

  void handle_signals() {
    for (const int number : signals_.take()) {
      if (number == SIGWINCH || number == SIGCONT) {
        if (number == SIGCONT && raw_) raw_->reapply();
        if (created_.console) set_size();
      } else if (is_proxied(number)) {
        if (!options_.sig_proxy) {
          end_.signal = number;
          ended_ = true;
          return;
        }
        // It may have ended this instant.
        if (auto sent = sys::pidfd_send_signal(created_.pidfd, number); !sent.ok()) return;
      }
    }
  }

  // What the process wrote before its end. Others may hold the terminal open: only what is there now.
  Status drain() {
    signals_.close();
    while (created_.console && !console_ended_ && !out_.gone()) {
      struct pollfd entry = {created_.console.get(), POLLIN, 0};
      if (::poll(&entry, 1, 0) <= 0) break;
      read_console();
      RETURN_IF_ERROR(flush_all());
    }
    return flush_all();
  }

  Status flush_all() {
    while (!out_.empty() && !out_.gone()) {
      struct pollfd entry = {STDOUT_FILENO, POLLOUT, 0};
      if (::poll(&entry, 1, -1) < 0 && errno != EINTR) return Error::from_errno(errno, "wait for events");
      out_.flush();
    }
    return {};
  }

  container::Created created_;
  const ExecSessionOptions& options_;
  SignalInbox signals_;
  std::optional<io::RawMode> raw_;
  OutputQueue out_;
  DetachWatch keys_;
  std::string input_;
  bool input_is_terminal_ = false;
  bool input_ended_ = false;
  bool console_ended_ = false;
  bool ended_ = false;
  ExecEnd end_;
};

// Runs in the child of hold_console.
[[noreturn]] void swallow(const UniqueFd& console) {
  std::array<char, 4096> buffer;
  while (true) {
    struct pollfd entry = {console.get(), POLLIN, 0};
    if (::poll(&entry, 1, -1) < 0 && errno != EINTR) ::_exit(0);
    const ssize_t n = ::read(console.get(), buffer.data(), buffer.size());
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) ::_exit(0);
  }
}

}  // namespace

Result<ExecEnd> run_exec_session(container::Created created, const ExecSessionOptions& options, SignalInbox signals) {
  ignore_broken_pipes();
  return ExecSession(std::move(created), options, std::move(signals)).run();
}

Status hold_console(UniqueFd console) {
  ASSIGN_OR_RETURN(const UniqueFd null, sys::openat(sys::kCwd, "/dev/null", O_RDWR));
  // When we end as the leader of a terminal's session, its hangup must not reach the child, however early it comes.
  sigset_t all;
  sigset_t old_mask;
  (void)::sigfillset(&all);
  (void)::sigprocmask(SIG_SETMASK, &all, &old_mask);
  auto child = sys::clone3(0);
  if (!child.ok() || child->pid != 0) {
    (void)::sigprocmask(SIG_SETMASK, &old_mask, nullptr);
    if (!child.ok()) return std::move(child).error().with("leave a holder of the terminal behind");
    return {};
  }
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  (void)::sigaction(SIGHUP, &ignore, nullptr);
  (void)::setsid();
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::dup2(null.get(), fd) < 0) ::_exit(1);
  }
  sigset_t none;
  (void)::sigemptyset(&none);
  (void)::sigprocmask(SIG_SETMASK, &none, nullptr);
  swallow(console);
}

}  // namespace cooper::cli
