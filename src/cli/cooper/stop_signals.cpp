#include "cli/cooper/stop_signals.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace cooper::cli {
namespace {

constexpr std::array<int, 4> kStopping = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

}  // namespace

Result<StopSignals> StopSignals::open() {
  sigset_t mask;
  (void)::sigemptyset(&mask);
  for (const int number : kStopping) {
    struct sigaction action = {};
    if (::sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) continue;
    (void)::sigaddset(&mask, number);
  }
  StopSignals out;
  if (::sigprocmask(SIG_BLOCK, &mask, &out.before_) != 0) return Error::from_errno(errno, "block signals");
  out.fd_ = UniqueFd(::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!out.fd_) return Error::from_errno(errno, "create a signal descriptor");
  return out;
}

StopSignals::~StopSignals() {
  if (fd_) (void)::sigprocmask(SIG_SETMASK, &before_, nullptr);
}

bool StopSignals::pending() const {
  struct pollfd entry = {fd_.get(), POLLIN, 0};
  return ::poll(&entry, 1, 0) > 0;
}

int StopSignals::taken() {
  struct signalfd_siginfo info = {};
  return ::read(fd_.get(), &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo) : SIGTERM;
}

}  // namespace cooper::cli
