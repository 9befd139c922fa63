#include "monitor/internal/hub.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>

#include "sys/file.h"
#include "sys/retry.h"
#include "sys/socket.h"

namespace cooper::monitor::internal {

using protocol::FrameType;
using protocol::FrameView;
using protocol::Stream;

namespace {

constexpr int kAcceptPauseMs = 100;  // after running out of descriptors
constexpr int kStuckCheckMs = 1000;
constexpr std::int64_t kFarewellMs = 2000;  // a dropped client may take so long to read why
constexpr int kFramesPerEvent = 16;         // of one client, before others get their turn

}  // namespace

Status Hub::listen(UniqueFd socket) {
  RETURN_IF_ERROR(sys::fcntl_setfl(socket, O_NONBLOCK));
  listener_ = std::move(socket);
  return loop_.add(listener_, EPOLLIN, [this](std::uint32_t) { accept_ready(); });
}

void Hub::accept_ready() {
  const Entry entry(*this);
  while (listener_) {
    auto socket = sys::accept(listener_);
    if (!socket.ok()) {
      const int e = socket.error().errno_value();
      if (e == EAGAIN || e == ECONNABORTED) return;
      // Out of descriptors or memory: the line waits, and the loop must not spin on it.
      loop_.remove(listener_);
      (void)loop_.add_timer(kAcceptPauseMs, [this] {
        if (listener_) (void)!loop_.add(listener_, EPOLLIN, [this](std::uint32_t) { accept_ready(); }).ok();
      });
      return;
    }
    Connection* connection = admit(*std::move(socket));
    if (connection != nullptr && connections_.size() > kMaxConnections) drop(*connection, "too many clients");
  }
}

Connection* Hub::admit(UniqueFd socket) {
  const std::uint64_t id = next_id_++;
  auto owned = std::make_unique<Connection>(std::move(socket), id);
  Connection& connection = *owned;
  connections_.emplace(id, std::move(owned));
  if (!after_send(connection, connection.send(protocol::make_frame(FrameType::kHello, hello_)))) return nullptr;
  return &connection;
}

Status Hub::adopt_first(UniqueFd socket, int app, bool with_stdin) {
  const Entry entry(*this);
  Connection* connection = admit(std::move(socket));
  if (connection == nullptr) return Error(Errc::kCancelled, "the caller went away");
  connection->app_ = app;
  connection->out_ = connection->err_ = true;
  connection->in_ = with_stdin;
  connection->hold_back_ = connection->foreground_ = true;
  claim_stdin(*connection);
  update_events(*connection);
  return {};
}

void Hub::claim_stdin(Connection& connection) {
  if (!connection.in_ || !handler_.stdin_once(connection.app_)) return;
  const bool owned = std::ranges::any_of(connections_, [&](const auto& other) {
    return !other.second->dead_ && other.second->stdin_owner_ && other.second->app_ == connection.app_;
  });
  connection.stdin_owner_ = !owned;
}

void Hub::release_stdin(Connection& connection) {
  if (!connection.stdin_owner_) return;
  connection.stdin_owner_ = false;
  if (!connection.detached_) handler_.close_stdin(connection.app_);
}

void Hub::sweep() {
  if (!any_dead_) return;
  any_dead_ = false;
  std::erase_if(connections_, [](const auto& entry) { return entry.second->dead_; });
}

void Hub::close(Connection& connection) {
  if (connection.dead_) return;
  connection.dead_ = true;
  any_dead_ = true;
  if (connection.events_ != 0) loop_.remove(connection.fd());
  connection.events_ = 0;
  (void)connection.release_socket();
  const bool held = connection.congested_;
  connection.congested_ = false;
  release_stdin(connection);
  if (held) handler_.flow_changed(connection.app_);
}

void Hub::drop(Connection& connection, std::string_view why) {
  if (connection.dead_ || connection.closing_) return;
  const bool held = connection.congested_;
  connection.congested_ = false;
  const auto sent = connection.finish_with(protocol::make_frame(FrameType::kDropped, why));
  connection.progress_ms_ = io::monotonic_ms();
  if (held) handler_.flow_changed(connection.app_);
  if (sent != Connection::Sent::kBlocked) {
    close(connection);
    return;
  }
  update_events(connection);
  watch_stuck();
}

// Applies what a send did to the connection. False: it was closed.
bool Hub::after_send(Connection& connection, Connection::Sent sent) {
  if (connection.dead_) return false;
  if (sent == Connection::Sent::kBroken) {
    close(connection);
    return false;
  }
  if (connection.closing_) {
    if (connection.queued() == 0) {
      close(connection);
      return false;
    }
  } else if (connection.hold_back_) {
    const bool before = connection.congested_;
    connection.congested_ = connection.queued() > (before ? kHoldBackLow : kHoldBackHigh);
    if (before && !connection.congested_) handler_.flow_changed(connection.app_);
    if (!before && connection.congested_ && !connection.foreground_) watch_stuck();
  } else if (connection.queued() > kQueueLimit) {
    drop(connection, "it reads too slowly");
    return !connection.dead_;
  }
  if (!connection.dead_) update_events(connection);
  return !connection.dead_;
}

void Hub::update_events(Connection& connection) {
  if (connection.dead_ || connection.hung_up_) return;
  // Interest in EPOLLHUP cannot be turned off, so an entry without interest still tells when the peer goes.
  constexpr std::uint32_t kRegistered = EPOLLHUP;
  std::uint32_t events = kRegistered;
  if (!connection.input_blocked_ && !connection.closing_) events |= EPOLLIN;
  if (connection.queued() != 0) events |= EPOLLOUT;
  if (events == connection.events_) return;
  const std::uint64_t id = connection.id();
  const Status status = connection.events_ == 0 ? loop_.add(connection.fd(), events,
                                                            [this, id](std::uint32_t ready) { on_event(id, ready); })
                                                : loop_.modify(connection.fd(), events);
  if (status.ok()) {
    connection.events_ = events;
  } else {
    close(connection);
  }
}

void Hub::on_event(std::uint64_t id, std::uint32_t events) {
  const auto found = connections_.find(id);
  if (found == connections_.end() || found->second->dead_) return;
  const Entry entry(*this);
  Connection& connection = *found->second;
  if ((events & EPOLLOUT) != 0 && !after_send(connection, connection.flush())) return;
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
    // Nothing can be sent any more; what the peer sent before it went is still to be read.
    if (connection.closing_) {
      close(connection);
      return;
    }
    if (connection.input_blocked_) {
      connection.hung_up_ = true;
      loop_.remove(connection.fd());
      connection.events_ = 0;
      return;
    }
  }
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) (void)read_frames(connection);
}

bool Hub::read_frames(Connection& connection) {
  for (int i = 0; i < kFramesPerEvent || connection.hung_up_; ++i) {
    if (connection.in_ && connection.app_ != kNoApp && !handler_.stdin_has_room(connection.app_)) {
      connection.input_blocked_ = true;
      update_events(connection);
      return !connection.dead_;
    }
    packet_.resize(protocol::kMaxFrame + 1);
    const ssize_t n =
        sys::retry_receive([&] { return ::recv(connection.fd().get(), packet_.data(), packet_.size(), MSG_DONTWAIT); });
    if (n < 0 && errno == EAGAIN) return true;
    if (n <= 0) {
      close(connection);
      return false;
    }
    if (!read_frame(connection, std::string_view(packet_).substr(0, static_cast<std::size_t>(n)))) return false;
  }
  return true;
}

bool Hub::read_frame(Connection& connection, std::string_view packet) {
  const auto frame = protocol::parse_frame(packet);
  if (!frame.ok()) {
    drop(connection, frame.error().message());
    return false;
  }
  switch (frame->type) {
    case FrameType::kStdin:
      handle_stdin(connection, frame->payload);
      return !connection.dead_;
    case FrameType::kStdinEof:
      release_stdin(connection);
      return !connection.dead_;
    case FrameType::kDetach:
      connection.detached_ = true;
      return true;
    default:
      return handle_request(connection, *frame);
  }
}

void Hub::handle_stdin(Connection& connection, std::string_view data) {
  if (!connection.in_ || connection.app_ == kNoApp || connection.closing_) return;
  handler_.write_stdin(connection.app_, data);
}

bool Hub::handle_request(Connection& connection, const FrameView& frame) {
  switch (frame.type) {
    case FrameType::kAttach: {
      const bool first = connection.app_ == kNoApp;
      const Status attached = handle_attach(connection, frame.payload);
      if (!reply(connection, frame, attached)) return false;
      // An app that has ended while the request was on its way: its exit follows at once.
      if (!attached.ok() || !first) return true;
      const auto ended = handler_.exit_json(connection.app_);
      return !ended.ok() || after_send(connection, connection.send(protocol::make_frame(FrameType::kExit, *ended)));
    }
    case FrameType::kStatus: {
      const std::string body = protocol::print_reply(handler_.status());
      if (body.size() > protocol::kMaxPayload)
        return reply(connection, frame, Error(Errc::kLimit, "the status is too long"));
      return after_send(connection,
                        connection.send(protocol::make_frame(FrameType::kReply, body, Stream::kNone, frame.request)));
    }
    case FrameType::kReopenLogs:
      return reply(connection, frame, handler_.reopen_logs());
    case FrameType::kResize:
    case FrameType::kWait:
    case FrameType::kStop:
    case FrameType::kKill:
      return reply(connection, frame, handle_app_request(connection, frame));
    default:
      drop(connection, "that message is not for the monitor");
      return false;
  }
}

Status Hub::handle_attach(Connection& connection, std::string_view payload) {
  if (connection.app_ != kNoApp) return Error(Errc::kWrongState, "this connection is attached already");
  ASSIGN_OR_RETURN(const auto request, protocol::parse_attach(payload));
  ASSIGN_OR_RETURN(const int app, handler_.find_app(request.app));
  if (request.in && !handler_.stdin_open(app)) {
    return Error(Errc::kWrongState, "the app was started without an open standard input")
        .with_hint("start it with -i to be able to write to it");
  }
  connection.app_ = app;
  connection.in_ = request.in;
  connection.out_ = request.out;
  connection.err_ = request.err;
  connection.hold_back_ = request.hold_back;
  claim_stdin(connection);
  if (request.height != 0 && request.width != 0) handler_.resize(app, request.height, request.width);
  return {};
}

Status Hub::handle_app_request(Connection& connection, const FrameView& frame) {
  ASSIGN_OR_RETURN(const auto request, protocol::parse_app_request(frame.payload));
  int app = kNoApp;
  const bool whole_pod = request.app.empty() && (frame.type == FrameType::kStop || frame.type == FrameType::kWait);
  if (!whole_pod) {
    ASSIGN_OR_RETURN(app, handler_.find_app(request.app));
  }
  switch (frame.type) {
    case FrameType::kResize:
      if (!handler_.app_has_terminal(app)) return Error(Errc::kWrongState, "the app has no terminal");
      handler_.resize(app, request.height, request.width);
      return {};
    case FrameType::kStop:
      return handler_.stop(app, request);
    case FrameType::kKill:
      if (request.signal == 0) return Error(Errc::kInvalidArgument, "no signal given");
      return handler_.kill(app, request.signal);
    default:
      break;
  }
  if (app == kNoApp) {
    // The only app's end is what the client waits for; of several, kPodExit tells all.
    const auto only = handler_.find_app({});
    if (!only.ok()) return {};
    app = *only;
  }
  if (const auto ended = handler_.exit_json(app); ended.ok()) {
    // The reply must come first, and the caller sends it: the queue keeps the order when the exit follows in the next
    // round.
    const std::uint64_t id = connection.id();
    (void)loop_.add_timer(0, [this, id, json = *ended] {
      const auto found = connections_.find(id);
      if (found == connections_.end() || found->second->dead_) return;
      const Entry entry(*this);
      (void)after_send(*found->second, found->second->send(protocol::make_frame(FrameType::kExit, json)));
    });
    return {};
  }
  connection.watched_.push_back(app);
  return {};
}

bool Hub::reply(Connection& connection, const FrameView& frame, const Status& status) {
  if (connection.dead_) return false;
  if (frame.request == 0) return true;
  std::string body = protocol::print_reply(status);
  if (body.size() > protocol::kMaxPayload)
    body = protocol::print_reply(Error(status.error().code(), "the request failed"));
  return after_send(connection,
                    connection.send(protocol::make_frame(FrameType::kReply, body, Stream::kNone, frame.request)));
}

void Hub::output(int app, Stream stream, std::string_view data) {
  if (connections_.empty()) return;
  const Entry entry(*this);
  for (auto& [id, connection] : connections_) {
    if (connection->dead_ || connection->closing_ || connection->hung_up_ || !connection->attached_to(app, stream))
      continue;
    (void)after_send(*connection, connection->send_output(stream, data));
  }
}

bool Hub::holds_back(int app) const {
  return std::ranges::any_of(connections_,
                             [&](const auto& entry) { return entry.second->congested_ && entry.second->app_ == app; });
}

void Hub::input_ready(int app) {
  const Entry entry(*this);
  for (auto& [id, connection] : connections_) {
    if (connection->dead_ || !connection->input_blocked_ || connection->app_ != app) continue;
    if (!handler_.stdin_has_room(app)) return;
    connection->input_blocked_ = false;
    if (connection->hung_up_) {
      (void)read_frames(*connection);
    } else {
      update_events(*connection);
    }
  }
}

void Hub::app_exited(int app, const std::string& record_json) {
  const Entry entry(*this);
  for (auto& [id, connection] : connections_) {
    const bool wants = connection->app_ == app || std::ranges::count(connection->watched_, app) != 0;
    if (connection->dead_ || connection->closing_ || connection->hung_up_ || !wants) continue;
    (void)after_send(*connection, connection->send(protocol::make_frame(FrameType::kExit, record_json)));
  }
}

void Hub::release_memory() {
  packet_ = std::string();
}

void Hub::stop_listening() {
  if (!listener_) return;
  accept_ready();
  loop_.remove(listener_);
  listener_.reset();
}

void Hub::finish(const std::string& frame) {
  const Entry entry(*this);
  for (auto& [id, connection] : connections_) {
    if (connection->dead_ || connection->closing_ || connection->hung_up_) continue;
    connection->detached_ = true;
    connection->closing_ = true;
    (void)after_send(*connection, connection->send(frame));
  }
}

std::vector<std::unique_ptr<Connection>> Hub::take_unsent() {
  std::vector<std::unique_ptr<Connection>> out;
  for (auto& [id, connection] : connections_) {
    if (connection->dead_ || connection->hung_up_ || connection->queued() == 0) continue;
    if (connection->events_ != 0) loop_.remove(connection->fd());
    out.push_back(std::move(connection));
  }
  connections_.clear();
  return out;
}

void Hub::watch_stuck() {
  if (stuck_timer_) return;
  stuck_timer_ = true;
  (void)loop_.add_timer(kStuckCheckMs, [this] {
    stuck_timer_ = false;
    check_stuck();
  });
}

void Hub::check_stuck() {
  const Entry entry(*this);
  const std::int64_t now = io::monotonic_ms();
  bool again = false;
  for (auto& [id, connection] : connections_) {
    if (connection->dead_) continue;
    if (connection->closing_) {
      if (now - connection->progress_ms_ > kFarewellMs) close(*connection);
    } else if (connection->congested_ && !connection->foreground_) {
      if (now - connection->progress_ms_ > kStuckMs) drop(*connection, "it took nothing for 10 seconds");
    } else {
      continue;
    }
    again = again || !connection->dead_;
  }
  if (again) watch_stuck();
}

}  // namespace cooper::monitor::internal
