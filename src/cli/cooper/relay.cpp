#include "cli/cooper/relay.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "sys/file.h"
#include "sys/retry.h"

namespace cooper::cli {
namespace {

// A pipe that polls ready takes this much without blocking (PIPE_BUF).
constexpr std::size_t kPipeChunk = 4096;
constexpr std::size_t kFileChunk = std::size_t{1} << 20;

constexpr std::array<int, 5> kOurs = {SIGWINCH, SIGCONT, SIGPIPE, SIGCHLD, SIGURG};
// Left alone: those of the CPU, and those that stop us as a job of a shell.
constexpr std::array<int, 12> kUntouched = {SIGSEGV, SIGABRT, SIGBUS,  SIGFPE,  SIGILL,  SIGTRAP,
                                            SIGSYS,  SIGKILL, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU};

bool ready_for_output(BorrowedFd fd) {
  struct pollfd entry = {fd.get(), POLLOUT, 0};
  return sys::retry([&] { return ::poll(&entry, 1, 0); }) > 0;
}

}  // namespace

OutputQueue::OutputQueue(BorrowedFd fd) : fd_(fd), chunk_(kPipeChunk) {
  const auto status = sys::fstat(fd);
  if (status.ok() && S_ISREG(status->st_mode)) chunk_ = kFileChunk;
}

void OutputQueue::add(std::string_view data) {
  if (gone()) return;
  if (empty()) {
    data_.clear();
    sent_ = 0;
  }
  data_ += data;
}

void OutputQueue::flush() {
  while (!empty() && ready_for_output(fd_)) {
    const auto written = sys::write(fd_, std::string_view(data_).substr(sent_, chunk_));
    if (!written.ok()) {
      if (written.error().errno_value() == EAGAIN) return;
      return abandon(written.error().errno_value());
    }
    sent_ += *written;
  }
}

void OutputQueue::abandon(int error) {
  errno_ = error;
  data_.clear();
  sent_ = 0;
}

Result<SignalInbox> SignalInbox::open() {
  sigset_t mask;
  sigset_t old_mask;
  (void)::sigfillset(&mask);
  for (const int number : kUntouched) (void)::sigdelset(&mask, number);
  if (::sigprocmask(SIG_BLOCK, &mask, &old_mask) != 0) return Error::from_errno(errno, "block signals");
  UniqueFd fd(::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) {
    const int failed = errno;
    (void)::sigprocmask(SIG_SETMASK, &old_mask, nullptr);
    return Error::from_errno(failed, "create a signal descriptor");
  }
  return SignalInbox(std::move(fd), old_mask);
}

Result<std::optional<SignalInbox>> SignalInbox::open_if(bool wanted) {
  if (!wanted) return std::optional<SignalInbox>();
  ASSIGN_OR_RETURN(SignalInbox inbox, open());
  return std::optional<SignalInbox>(std::move(inbox));
}

std::vector<int> SignalInbox::take() {
  std::vector<int> numbers;
  std::array<struct signalfd_siginfo, 16> infos;
  while (active_) {
    const ssize_t n = sys::retry([&] { return ::read(fd_.get(), infos.data(), sizeof infos); });
    if (n <= 0) break;
    for (std::size_t i = 0; i < static_cast<std::size_t>(n) / sizeof infos[0]; ++i)
      numbers.push_back(static_cast<int>(infos[i].ssi_signo));
  }
  return numbers;
}

void SignalInbox::close() {
  if (!active_) return;
  active_ = false;
  fd_.reset();
  (void)::sigprocmask(SIG_SETMASK, &old_mask_, nullptr);
}

bool is_proxied(int signal) {
  return std::find(kOurs.begin(), kOurs.end(), signal) == kOurs.end();
}

std::optional<std::string> read_some(BorrowedFd fd, std::size_t most) {
  std::string data(most, '\0');
  const auto n = sys::read(fd, data);
  if (!n.ok()) {
    if (n.error().errno_value() == EAGAIN) return std::string();
    return std::nullopt;
  }
  if (*n == 0) return std::nullopt;
  data.resize(*n);
  return data;
}

void ignore_broken_pipes() {
  struct sigaction action = {};
  action.sa_handler = SIG_IGN;
  (void)::sigaction(SIGPIPE, &action, nullptr);
}

void die_by_signal(int signal) {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  (void)::sigaction(signal, &action, nullptr);
  sigset_t one;
  (void)::sigemptyset(&one);
  (void)::sigaddset(&one, signal);
  (void)::raise(signal);
  (void)::sigprocmask(SIG_UNBLOCK, &one, nullptr);
  ::_exit(128 + signal);
}

}  // namespace cooper::cli
