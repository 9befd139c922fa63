#include "cli/cooper/session.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/strings.h"
#include "cli/cooper/detach_keys.h"
#include "cli/cooper/relay.h"
#include "io/tty.h"
#include "log/log.h"

namespace cooper::cli {
namespace {

constexpr std::size_t kStdinChunk = std::size_t{32} << 10;
// How long an app may take to notice that nobody reads its output.
constexpr std::int64_t kNoReaderGraceMs = 1000;
constexpr char kEndOfTransmission = '\x04';

class Session {
 public:
  Session(monitor::Client& client, const SessionOptions& options, SignalInbox signals)
      : client_(client),
        options_(options),
        signals_(std::move(signals)),
        out_(BorrowedFd(STDOUT_FILENO)),
        err_(BorrowedFd(STDERR_FILENO)),
        keys_(options.terminal ? options.detach_keys : std::string()) {}

  Result<SessionEnd> run() {
    RETURN_IF_ERROR(enter_terminal());
    while (!end_) {
      if (client_.pending() && queues_empty()) {
        RETURN_IF_ERROR(handle_monitor());
        continue;
      }
      RETURN_IF_ERROR(wait_and_dispatch());
    }
    RETURN_IF_ERROR(drain());
    end_->write_error = write_error_;
    return std::move(*end_);
  }

 private:
  enum Slot : std::size_t { kMonitor, kSignals, kStdin, kOut, kErr, kSlots };

  bool queues_empty() const { return out_.empty() && err_.empty(); }

  Status enter_terminal() {
    input_is_terminal_ = io::is_terminal(BorrowedFd(STDIN_FILENO));
    if (!options_.terminal) return {};
    RETURN_IF_ERROR(send_size());
    if (!options_.stdin_open || !input_is_terminal_) return {};
    auto raw = io::RawMode::enter(BorrowedFd(STDIN_FILENO));
    if (!raw.ok()) return std::move(raw).error();
    raw_.emplace(std::move(raw).value());
    return {};
  }

  // Of the terminal we show the app on, if it is one.
  Status send_size() {
    const auto size = io::caller_window_size();
    return size ? tolerate(client_.resize(options_.app, size->rows, size->columns)) : Status();
  }

  Status wait_and_dispatch() {
    std::array<struct pollfd, kSlots> fds = {};
    for (auto& entry : fds) entry.fd = -1;
    // Output that has no taker yet holds the monitor back, and with it the app.
    if (queues_empty()) fds[kMonitor] = {client_.fd().get(), POLLIN, 0};
    if (blocked_input()) {
      fds[kMonitor].fd = client_.fd().get();
      fds[kMonitor].events = static_cast<short>(fds[kMonitor].events | POLLOUT);
    }
    fds[kSignals] = {signals_.fd().get(), POLLIN, 0};
    if (wants_input()) fds[kStdin] = {STDIN_FILENO, POLLIN, 0};
    // Without events: a reader that goes away is noticed also while the app is silent.
    if (!out_.gone()) fds[kOut] = {STDOUT_FILENO, static_cast<short>(out_.empty() ? 0 : POLLOUT), 0};
    if (!err_.gone() && !err_.empty()) fds[kErr] = {STDERR_FILENO, POLLOUT, 0};
    if (::poll(fds.data(), fds.size(), -1) < 0) {
      if (errno == EINTR) return {};
      return Error::from_errno(errno, "wait for events");
    }
    if (fds[kSignals].revents != 0) RETURN_IF_ERROR(handle_signals());
    if (fds[kStdin].revents != 0) RETURN_IF_ERROR(read_input());
    if ((fds[kOut].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0 && out_.empty()) {
      out_.abandon((fds[kOut].revents & POLLNVAL) != 0 ? EBADF : EPIPE);
    }
    if (fds[kOut].revents != 0) RETURN_IF_ERROR(flush_output());
    if (fds[kErr].revents != 0) err_.flush();
    if ((fds[kMonitor].revents & POLLOUT) != 0) RETURN_IF_ERROR(send_input());
    if ((fds[kMonitor].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && queues_empty() && !end_)
      RETURN_IF_ERROR(handle_monitor());
    return {};
  }

  // A monitor that ended this instant: its last words are still to be read.
  static Status tolerate(Status status) {
    if (status.ok() || status.error().code() == Errc::kWrongState || status.error().code() == Errc::kNotFound)
      return {};
    return status;
  }

  // ---- from the monitor
  Status handle_monitor() {
    ASSIGN_OR_RETURN(monitor::Event event, client_.next(0));
    switch (event.kind) {
      case monitor::Event::Kind::kTimeout:
        break;
      case monitor::Event::Kind::kOutput:
        if (event.stream == monitor::protocol::Stream::kStderr) {
          err_.add(event.data);
          err_.flush();
        } else {
          out_.add(event.data);
          RETURN_IF_ERROR(flush_output());
        }
        break;
      case monitor::Event::Kind::kExit:
        finish_with(event.records.front(), false);
        break;
      case monitor::Event::Kind::kPodExit:
        pod_ended(event.records);
        break;
      case monitor::Event::Kind::kDropped:
        finish(SessionEnd::Kind::kDropped).why = std::move(event.data);
        break;
      case monitor::Event::Kind::kClosed:
        finish(SessionEnd::Kind::kLost);
        break;
    }
    return {};
  }

  void pod_ended(const std::vector<monitor::ExitRecord>& records) {
    for (const monitor::ExitRecord& record : records) {
      if (record.app == options_.app) return finish_with(record, true);
    }
    if (!records.empty()) return finish_with(records.front(), true);
    finish(SessionEnd::Kind::kLost);
  }

  SessionEnd& finish(SessionEnd::Kind kind) {
    end_.emplace();
    end_->kind = kind;
    return *end_;
  }
  void finish_with(const monitor::ExitRecord& record, bool whole_pod) {
    SessionEnd& end = finish(SessionEnd::Kind::kExited);
    end.record = record;
    end.pod_ended = whole_pod;
  }

  // ---- to our output
  Status flush_output() {
    out_.flush();
    if (!out_.gone() || reader_gone_) return {};
    reader_gone_ = true;
    // Closed from the start: whoever started us did not want it.
    if (out_.error() == EBADF) return {};
    if (out_.error() != EPIPE && out_.error() != EIO) write_error_ = out_.error();
    // Nobody reads any more. The app gets what a program of a pipeline would get; what does not end by it is killed.
    const int signal = out_.error() == EIO ? SIGHUP : SIGPIPE;
    if (options_.owner) return tolerate(client_.stop(options_.app, kNoReaderGraceMs, signal));
    finish(SessionEnd::Kind::kSignal).signal = signal;
    return {};
  }

  // The last bytes, as fast as the reader takes them.
  Status drain() {
    raw_.reset();
    signals_.close();
    for (OutputQueue* queue : {&out_, &err_}) {
      while (!queue->empty() && !queue->gone()) {
        struct pollfd entry = {queue->fd().get(), POLLOUT, 0};
        if (::poll(&entry, 1, -1) < 0 && errno != EINTR) return Error::from_errno(errno, "wait for events");
        queue->flush();
      }
    }
    return {};
  }

  // ---- from our input
  bool blocked_input() const { return !input_.empty() || (input_ended_ && !eof_sent_); }
  bool wants_input() const { return options_.stdin_open && !input_ended_ && input_.empty(); }

  Status read_input() {
    auto data = read_some(BorrowedFd(STDIN_FILENO), kStdinChunk);
    if (!data) {
      input_ended_ = true;
      // A terminal has no end of file; the key that stands for it has the same effect. Who only attached is not the
      // one to end the app: others may write to it later.
      if (options_.terminal && options_.owner && !input_is_terminal_) input_ += kEndOfTransmission;
      return send_input();
    }
    DetachWatch::Outcome typed = keys_.feed(*data);
    input_ += typed.forward;
    if (typed.detached) {
      RETURN_IF_ERROR(tolerate(client_.detach()));
      finish(SessionEnd::Kind::kDetached);
      return {};
    }
    return send_input();
  }

  Status send_input() {
    Status sent = try_send_input();
    if (sent.ok() || sent.error().code() != Errc::kWrongState) return sent;
    input_.clear();
    input_ended_ = eof_sent_ = true;
    return {};
  }

  Status try_send_input() {
    while (!input_.empty()) {
      ASSIGN_OR_RETURN(const std::size_t taken, client_.try_send_stdin(input_));
      if (taken == 0) return {};
      input_.erase(0, taken);
    }
    if (!input_ended_ || eof_sent_) return {};
    if (options_.terminal) {
      eof_sent_ = true;
    } else {
      ASSIGN_OR_RETURN(eof_sent_, client_.try_send_stdin_eof());
    }
    return {};
  }

  // ---- signals
  Status handle_signals() {
    for (const int number : signals_.take()) {
      if (number == SIGWINCH) {
        if (options_.terminal) RETURN_IF_ERROR(send_size());
      } else if (number == SIGCONT) {
        if (raw_) raw_->reapply();
        if (options_.terminal) RETURN_IF_ERROR(send_size());
      } else if (is_proxied(number)) {
        if (!options_.sig_proxy) {
          finish(SessionEnd::Kind::kSignal).signal = number;
          return {};
        }
        auto sent = tolerate(client_.kill(options_.app, number));
        if (!sent.ok())
          log::warning("signal " + std::to_string(number) + " was not passed on: " + sent.error().message());
      }
    }
    return {};
  }

  monitor::Client& client_;
  const SessionOptions& options_;
  SignalInbox signals_;
  std::optional<io::RawMode> raw_;
  OutputQueue out_;
  OutputQueue err_;
  DetachWatch keys_;
  std::string input_;
  bool input_is_terminal_ = false;
  bool input_ended_ = false;
  bool eof_sent_ = false;
  bool reader_gone_ = false;
  int write_error_ = 0;
  std::optional<SessionEnd> end_;
};

}  // namespace

Result<SessionEnd> run_session(monitor::Client& client, const SessionOptions& options, SignalInbox signals) {
  ignore_broken_pipes();
  return Session(client, options, std::move(signals)).run();
}

Result<SessionEnd> wait_for_pod(monitor::Client& client) {
  SessionEnd end;
  while (true) {
    ASSIGN_OR_RETURN(monitor::Event event, client.next(-1));
    if (event.kind == monitor::Event::Kind::kPodExit) {
      end.kind = SessionEnd::Kind::kExited;
      end.pod_ended = true;
      return end;
    }
    if (event.kind == monitor::Event::Kind::kDropped || event.kind == monitor::Event::Kind::kClosed) return end;
  }
}

}  // namespace cooper::cli
