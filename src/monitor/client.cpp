#include "monitor/client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>

#include "base/strings.h"
#include "io/event_loop.h"
#include "sys/retry.h"
#include "sys/socket.h"

namespace cooper::monitor {
namespace {

using protocol::FrameType;

// Waits until `events` are there; false on timeout.
Result<bool> poll_socket(BorrowedFd fd, short events, int timeout_ms) {
  struct pollfd entry = {fd.get(), events, 0};
  const std::int64_t deadline = timeout_ms < 0 ? -1 : io::monotonic_ms() + timeout_ms;
  while (true) {
    const int left = deadline < 0 ? -1 : static_cast<int>(std::max<std::int64_t>(deadline - io::monotonic_ms(), 0));
    const int n = ::poll(&entry, 1, left);
    if (n > 0) return true;
    if (n == 0) return false;
    if (errno != EINTR) return Error::from_errno(errno, "wait for the monitor");
  }
}

std::string resize_body(const std::string& app, std::uint16_t height, std::uint16_t width) {
  protocol::AppRequest body;
  body.app = app;
  body.height = height;
  body.width = width;
  return protocol::print(body);
}

Error gone_error() {
  return Error(Errc::kWrongState, "the monitor of the pod is gone")
      .with_hint("see the pod's status for its exit records");
}

}  // namespace

Result<Client> Client::connect(const std::string& socket_path) {
  auto socket = sys::unix_connect(socket_path, SOCK_SEQPACKET);
  if (!socket.ok()) {
    const int e = socket.error().errno_value();
    if (e == ENOENT || e == ECONNREFUSED)
      return std::move(socket).error().with("the pod is not running").with_code(Errc::kWrongState);
    return std::move(socket).error();
  }
  return adopt(*std::move(socket));
}

Result<Client> Client::adopt(UniqueFd socket) {
  Client out(std::move(socket));
  ASSIGN_OR_RETURN(const bool came, out.receive(kReplyTimeoutMs));
  if (!came) return Error(Errc::kTimeout, "the monitor does not answer");
  if (out.packet_.empty()) return gone_error();
  ASSIGN_OR_RETURN(const auto frame, protocol::parse_frame(out.packet_));
  if (frame.type == FrameType::kDropped)
    return Error(Errc::kLimit, "the monitor refused the connection: " + std::string(frame.payload));
  if (frame.type != FrameType::kHello) return Error(Errc::kCorrupt, "the monitor did not say hello");
  ASSIGN_OR_RETURN(out.hello_, protocol::parse_hello(frame.payload));
  if (out.hello_.version > protocol::kVersion) {
    return Error(Errc::kUnsupported, "the monitor of the pod speaks protocol " + std::to_string(out.hello_.version) +
                                         ", this program only " + std::to_string(protocol::kVersion));
  }
  return out;
}

Result<bool> Client::try_send(FrameType type, std::string_view payload, std::uint16_t request) {
  char header[protocol::kHeaderSize];
  protocol::put_header(header, type, protocol::Stream::kNone, request);
  struct iovec parts[2] = {{header, sizeof header}, {const_cast<char*>(payload.data()), payload.size()}};
  struct msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  if (sys::retry([&] { return ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT); }) >= 0) return true;
  const int saved = errno;
  if (saved == EAGAIN || saved == ENOBUFS) return false;
  if (saved == EPIPE || saved == ECONNRESET) return gone_error();
  return Error::from_errno(saved, "send to the monitor");
}

// The monitor may be unable to read from us until we have read from it: both directions are served while waiting.
Status Client::send(FrameType type, std::string_view payload, std::uint16_t request) {
  while (true) {
    ASSIGN_OR_RETURN(const bool sent, try_send(type, payload, request));
    if (sent) return {};
    struct pollfd entry = {socket_.get(), POLLIN | POLLOUT, 0};
    if (::poll(&entry, 1, -1) < 0 && errno != EINTR) return Error::from_errno(errno, "wait for the monitor");
    if ((entry.revents & POLLIN) != 0) RETURN_IF_ERROR(keep_one());
  }
}

Status Client::keep_one() {
  ASSIGN_OR_RETURN(const bool came, receive(0));
  if (!came) return {};
  if (packet_.empty()) {
    kept_.push_back(Event{Event::Kind::kClosed, protocol::Stream::kNone, {}, {}});
    return gone_error();
  }
  ASSIGN_OR_RETURN(const auto frame, protocol::parse_frame(packet_));
  ASSIGN_OR_RETURN(Event event, event_of(frame));
  if (event.kind != Event::Kind::kTimeout) kept_.push_back(std::move(event));
  return {};
}

Result<bool> Client::receive(int timeout_ms) {
  ASSIGN_OR_RETURN(const bool ready, poll_socket(socket_, POLLIN, timeout_ms));
  if (!ready) return false;
  packet_.resize(protocol::kMaxFrame + 1);
  const ssize_t n = sys::retry_receive([&] { return ::recv(socket_.get(), packet_.data(), packet_.size(), 0); });
  const int saved = errno;
  packet_.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  if (n < 0) return Error::from_errno(saved, "receive from the monitor");
  return true;
}

Result<Event> Client::event_of(const protocol::FrameView& frame) const {
  Event event;
  switch (frame.type) {
    case FrameType::kOutput:
      event.kind = Event::Kind::kOutput;
      event.stream = frame.stream;
      event.data = std::string(frame.payload);
      return event;
    case FrameType::kExit: {
      event.kind = Event::Kind::kExit;
      ASSIGN_OR_RETURN(ExitRecord record, parse_exit_record(std::string(frame.payload), "monitor message"));
      event.records.push_back(std::move(record));
      return event;
    }
    case FrameType::kPodExit: {
      event.kind = Event::Kind::kPodExit;
      ASSIGN_OR_RETURN(event.records, protocol::parse_records(frame.payload));
      return event;
    }
    case FrameType::kDropped:
      event.kind = Event::Kind::kDropped;
      event.data = std::string(frame.payload);
      return event;
    default:
      return event;  // kTimeout: nothing for the caller (an unawaited reply, a second hello)
  }
}

Result<std::string> Client::request(FrameType type, const std::string& body) {
  const std::uint16_t number = next_request_++;
  if (next_request_ == 0) next_request_ = 1;
  RETURN_IF_ERROR(send(type, body, number));
  const std::int64_t deadline = io::monotonic_ms() + kReplyTimeoutMs;
  while (true) {
    const auto left = static_cast<int>(std::max<std::int64_t>(deadline - io::monotonic_ms(), 0));
    ASSIGN_OR_RETURN(const bool came, receive(left));
    if (!came) return Error(Errc::kTimeout, "the monitor does not answer");
    if (packet_.empty()) {
      kept_.push_back(Event{Event::Kind::kClosed, protocol::Stream::kNone, {}, {}});
      return gone_error();
    }
    ASSIGN_OR_RETURN(const auto frame, protocol::parse_frame(packet_));
    if (frame.type == FrameType::kReply) {
      if (frame.request == number) return std::string(frame.payload);
      continue;
    }
    ASSIGN_OR_RETURN(Event event, event_of(frame));
    if (event.kind != Event::Kind::kTimeout) kept_.push_back(std::move(event));
  }
}

Status Client::simple_request(FrameType type, const std::string& body) {
  ASSIGN_OR_RETURN(const std::string reply, request(type, body));
  return protocol::parse_reply(reply);
}

Status Client::attach(const protocol::AttachRequest& attach_request) {
  return simple_request(FrameType::kAttach, protocol::print(attach_request));
}

Status Client::resize(const std::string& app, std::uint16_t height, std::uint16_t width) {
  return send(FrameType::kResize, resize_body(app, height, width));
}

Result<bool> Client::try_resize(const std::string& app, std::uint16_t height, std::uint16_t width) {
  return try_send(FrameType::kResize, resize_body(app, height, width));
}

Status Client::stop(const std::string& app, std::int64_t timeout_ms, int signal) {
  protocol::AppRequest body;
  body.app = app;
  body.timeout_ms = timeout_ms;
  body.signal = signal;
  return simple_request(FrameType::kStop, protocol::print(body));
}

Status Client::kill(const std::string& app, int signal) {
  protocol::AppRequest body;
  body.app = app;
  body.signal = signal;
  return simple_request(FrameType::kKill, protocol::print(body));
}

Status Client::reopen_logs() {
  return simple_request(FrameType::kReopenLogs, "{}");
}

Result<protocol::PodStatus> Client::status() {
  ASSIGN_OR_RETURN(const std::string reply, request(FrameType::kStatus, "{}"));
  return protocol::parse_status_reply(reply);
}

Status Client::watch(const std::string& app) {
  protocol::AppRequest body;
  body.app = app;
  return simple_request(FrameType::kWait, protocol::print(body));
}

Result<ExitRecord> Client::wait(const std::string& app, int timeout_ms) {
  const std::int64_t deadline = timeout_ms < 0 ? -1 : io::monotonic_ms() + timeout_ms;
  RETURN_IF_ERROR(watch(app));
  std::string name = app;
  if (name.empty() && hello_.apps.size() == 1) name = hello_.apps.front();
  while (true) {
    const int left = deadline < 0 ? -1 : static_cast<int>(std::max<std::int64_t>(deadline - io::monotonic_ms(), 0));
    ASSIGN_OR_RETURN(Event event, next(left));
    switch (event.kind) {
      case Event::Kind::kTimeout:
        return Error(Errc::kTimeout, "the app still runs");
      case Event::Kind::kClosed:
        return gone_error();
      case Event::Kind::kDropped:
        return Error(Errc::kLimit, "the monitor dropped the connection: " + event.data);
      case Event::Kind::kOutput:
        continue;
      case Event::Kind::kExit:
      case Event::Kind::kPodExit:
        break;
    }
    for (ExitRecord& record : event.records) {
      if (record.app == name) return std::move(record);
    }
    if (event.kind != Event::Kind::kPodExit) continue;
    if (name.empty() && !event.records.empty()) return std::move(event.records.back());
    return Error(Errc::kNotFound, "the pod has no app " + quoted(name));
  }
}

Result<std::size_t> Client::try_send_stdin(std::string_view data) {
  std::size_t sent = 0;
  while (sent < data.size()) {
    const std::string_view piece = data.substr(sent, protocol::kMaxPayload / 2);
    ASSIGN_OR_RETURN(const bool taken, try_send(FrameType::kStdin, piece));
    if (!taken) break;
    sent += piece.size();
  }
  return sent;
}

Status Client::send_stdin(std::string_view data) {
  for (; !data.empty(); data.remove_prefix(std::min(data.size(), protocol::kMaxPayload / 2))) {
    RETURN_IF_ERROR(send(FrameType::kStdin, data.substr(0, protocol::kMaxPayload / 2)));
  }
  return {};
}

Result<bool> Client::try_send_stdin_eof() {
  return try_send(FrameType::kStdinEof, {});
}

Status Client::send_stdin_eof() {
  return send(FrameType::kStdinEof, {});
}

Status Client::detach() {
  return send(FrameType::kDetach, {});
}

Result<Event> Client::next(int timeout_ms) {
  if (!kept_.empty()) {
    Event event = std::move(kept_.front());
    kept_.pop_front();
    return event;
  }
  const std::int64_t deadline = timeout_ms < 0 ? -1 : io::monotonic_ms() + timeout_ms;
  while (true) {
    const int left = deadline < 0 ? -1 : static_cast<int>(std::max<std::int64_t>(deadline - io::monotonic_ms(), 0));
    ASSIGN_OR_RETURN(const bool came, receive(left));
    if (!came) return Event{};
    if (packet_.empty()) return Event{Event::Kind::kClosed, protocol::Stream::kNone, {}, {}};
    ASSIGN_OR_RETURN(const auto frame, protocol::parse_frame(packet_));
    ASSIGN_OR_RETURN(Event event, event_of(frame));
    if (event.kind != Event::Kind::kTimeout) return event;
  }
}

}  // namespace cooper::monitor
