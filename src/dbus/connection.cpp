#include "dbus/connection.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/strings.h"

namespace cooper::dbus {
namespace {

constexpr int kConnectTimeoutMs = 10000;
constexpr std::size_t kMaxLine = 4096;
// Signals that nobody asked for yet; a peer that sends more than this loses the oldest.
constexpr std::size_t kMaxSignals = 1024;

std::int64_t now_ms() {
  struct timespec now = {};
  (void)::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

Error closed() {
  return Error(Errc::kSystem, "the peer closed the connection", ECONNRESET);
}

// False: the time has ended.
Result<bool> wait_for(BorrowedFd socket, short events, std::int64_t deadline_ms) {
  while (true) {
    const std::int64_t left = deadline_ms - now_ms();
    if (left <= 0) return false;
    struct pollfd entry = {socket.get(), events, 0};
    const int n = ::poll(&entry, 1, static_cast<int>(std::min<std::int64_t>(left, 3600 * 1000)));
    if (n > 0) return true;
    if (n < 0 && errno != EINTR) return Error::from_errno(errno, "wait for the D-Bus peer");
  }
}

// A path, or "@name". The time limit is for a listener whose queue is full.
Result<UniqueFd> connect_to(std::string_view name) {
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (name.size() >= sizeof address.sun_path)
    return Error(Errc::kInvalidArgument, "socket name " + quoted(name) + " is too long", ENAMETOOLONG);
  std::memcpy(address.sun_path, name.data(), name.size());
  const bool abstract = name[0] == '@';
  if (abstract) address.sun_path[0] = '\0';
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return Error::from_errno(errno, "create socket");
  const struct timeval limit = {.tv_sec = kConnectTimeoutMs / 1000, .tv_usec = 0};
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0)
    return Error::from_errno(errno, "set the time limit of a socket");
  const auto length = static_cast<socklen_t>(offsetof(struct sockaddr_un, sun_path) + name.size() + (abstract ? 0 : 1));
  while (::connect(fd.get(), reinterpret_cast<const struct sockaddr*>(&address), length) != 0) {
    if (errno == EINTR) continue;
    return Error::from_errno(errno, "connect to " + quoted(name));
  }
  return fd;
}

}  // namespace

bool is_disconnect(const Error& error) {
  const int e = error.errno_value();
  return e == ECONNRESET || e == EPIPE || e == ENOTCONN;
}

Result<Connection> Connection::open(Bus bus) {
  ASSIGN_OR_RETURN(const auto places, endpoints(bus));
  std::string tried;
  for (const Endpoint& place : places) {
    auto connection = open(place);
    if (connection.ok()) return connection;
    tried += (tried.empty() ? "" : "; ") + connection.error().message();
    // Somebody listens there and refused us: another way in would say less about why.
    if (connection.error().errno_value() != ENOENT && connection.error().errno_value() != ECONNREFUSED) break;
  }
  return Error(Errc::kUnsupported,
               std::string("cannot reach the ") + (bus == Bus::kSystem ? "system" : "user's") + " D-Bus: " + tried)
      .with_hint(
          bus == Bus::kSystem
              ? "start dbus, or leave out --systemd-cgroup"
              : "log in through systemd-logind (loginctl enable-linger), set $DBUS_SESSION_BUS_ADDRESS, or leave "
                "out --systemd-cgroup");
}

Result<Connection> Connection::open(const Endpoint& endpoint) {
  auto socket = connect_to(endpoint.socket);
  if (!socket.ok()) return std::move(socket).error();
  auto connection = over(std::move(socket).value(), endpoint.direct);
  if (!connection.ok()) return std::move(connection).error().with("D-Bus socket " + quoted(endpoint.socket));
  return connection;
}

Result<Connection> Connection::over(UniqueFd socket, bool direct) {
  if (::fcntl(socket.get(), F_SETFL, O_RDWR | O_NONBLOCK) != 0)
    return Error::from_errno(errno, "make the socket non-blocking");
  Connection out(std::move(socket), direct);
  RETURN_IF_ERROR(out.authenticate());
  if (!direct) RETURN_IF_ERROR(out.greet());
  return out;
}

// No identity is claimed: the peer takes the one of the socket's credentials, which is right in a user namespace, too.
Status Connection::authenticate() {
  const std::int64_t deadline = now_ms() + kConnectTimeoutMs;
  using namespace std::string_view_literals;
  RETURN_IF_ERROR(send_bytes("\0AUTH EXTERNAL\r\nDATA\r\n"sv, deadline));
  ASSIGN_OR_RETURN(std::string line, read_line(deadline));
  if (line == "DATA" || line.starts_with("DATA ")) {
    ASSIGN_OR_RETURN(line, read_line(deadline));
  }
  if (line != "OK" && !line.starts_with("OK ")) {
    return Error(Errc::kPermission, "authentication was refused with " + quoted(line), EACCES);
  }
  return send_bytes("BEGIN\r\n", deadline);
}

Status Connection::greet() {
  Message hello;
  hello.destination = "org.freedesktop.DBus";
  hello.path = "/org/freedesktop/DBus";
  hello.interface = "org.freedesktop.DBus";
  hello.member = "Hello";
  ASSIGN_OR_RETURN(const Reply reply, call(std::move(hello), kConnectTimeoutMs));
  if (reply.error) return Error(Errc::kPermission, "refused: " + reply.error->text, EACCES);
  return {};
}

Status Connection::send_bytes(std::string_view bytes, std::int64_t deadline_ms) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(n));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return Error::from_errno(errno, "send to the D-Bus peer");
    ASSIGN_OR_RETURN(const bool ready, wait_for(socket_, POLLOUT, deadline_ms));
    if (!ready) return Error(Errc::kTimeout, "the D-Bus peer does not read", ETIMEDOUT);
  }
  return {};
}

Result<bool> Connection::fill(std::size_t bytes, std::int64_t deadline_ms) {
  std::array<char, 16384> buffer;
  while (input_.size() < bytes) {
    const ssize_t n = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (n == 0) return closed();
    if (n > 0) {
      input_.append(buffer.data(), static_cast<std::size_t>(n));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return Error::from_errno(errno, "receive from the D-Bus peer");
    ASSIGN_OR_RETURN(const bool ready, wait_for(socket_, POLLIN, deadline_ms));
    if (!ready) return false;
  }
  return true;
}

Result<std::string> Connection::read_line(std::int64_t deadline_ms) {
  while (true) {
    if (const auto end = input_.find("\r\n"); end != std::string::npos) {
      std::string line = input_.substr(0, end);
      input_.erase(0, end + 2);
      return line;
    }
    if (input_.size() > kMaxLine) return Error(Errc::kCorrupt, "the D-Bus peer sent an endless line", EBADMSG);
    ASSIGN_OR_RETURN(const bool more, fill(input_.size() + 1, deadline_ms));
    if (!more) return Error(Errc::kTimeout, "the D-Bus peer does not answer", ETIMEDOUT);
  }
}

Result<std::optional<Message>> Connection::next_message(std::int64_t deadline_ms) {
  ASSIGN_OR_RETURN(const bool header, fill(kFixedHeaderBytes, deadline_ms));
  if (!header) return std::optional<Message>();
  ASSIGN_OR_RETURN(const std::size_t length, message_length(std::string_view(input_).substr(0, kFixedHeaderBytes)));
  ASSIGN_OR_RETURN(const bool whole, fill(length, deadline_ms));
  if (!whole) return std::optional<Message>();
  ASSIGN_OR_RETURN(Message message, read_message(std::string_view(input_).substr(0, length)));
  input_.erase(0, length);
  return std::optional<Message>(std::move(message));
}

Result<std::uint32_t> Connection::send(Message& message) {
  message.serial = ++last_serial_;
  ASSIGN_OR_RETURN(const std::string bytes, write_message(message));
  RETURN_IF_ERROR(send_bytes(bytes, now_ms() + kReplyTimeoutMs));
  return message.serial;
}

void Connection::keep_signal(Message message) {
  if (signals_.size() >= kMaxSignals) signals_.pop_front();
  signals_.push_back(std::move(message));
}

Status Connection::post(Message call) {
  call.no_reply_expected = true;
  auto sent = send(call);
  return sent.ok() ? Status() : Status(std::move(sent).error());
}

Result<Connection::Reply> Connection::call(Message call, int timeout_ms) {
  const std::int64_t deadline = now_ms() + timeout_ms;
  ASSIGN_OR_RETURN(const std::uint32_t serial, send(call));
  while (true) {
    ASSIGN_OR_RETURN(auto message, next_message(deadline));
    if (!message) {
      return Error(Errc::kTimeout,
                   "no answer to D-Bus call " + quoted(call.member) + " in " + std::to_string(timeout_ms / 1000) + " s",
                   ETIMEDOUT);
    }
    if (message->type == MessageType::kSignal) {
      keep_signal(std::move(*message));
      continue;
    }
    if (message->reply_serial != serial) continue;
    if (message->type == MessageType::kReturn) return Reply{std::move(message->body), std::nullopt};
    if (message->type != MessageType::kError) continue;
    Reply reply;
    reply.error.emplace();
    reply.error->name = message->error_name;
    reply.error->text = message->error_name;
    if (!message->body.empty() && message->body[0].type == "s") reply.error->text = message->body[0].text();
    return reply;
  }
}

Result<std::optional<Message>> Connection::wait_signal(const std::function<bool(const Message&)>& wanted,
                                                       int timeout_ms) {
  const std::int64_t deadline = now_ms() + timeout_ms;
  while (!signals_.empty()) {
    Message message = std::move(signals_.front());
    signals_.pop_front();
    if (wanted(message)) return std::optional<Message>(std::move(message));
  }
  while (true) {
    ASSIGN_OR_RETURN(auto message, next_message(deadline));
    if (!message) return std::optional<Message>();
    if (message->type == MessageType::kSignal && wanted(*message)) return message;
  }
}

}  // namespace cooper::dbus
