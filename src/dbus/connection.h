// CONTRACT. A conversation with one D-Bus peer over a unix socket: authentication, calls, signals. Single-threaded;
// every wait has an end. Descriptors are close-on-exec. The peer is trusted to be who owns the socket, not to speak
// correctly: what it sends is checked, and a violation closes the conversation.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "dbus/address.h"
#include "dbus/message.h"

namespace cooper::dbus {

inline constexpr int kReplyTimeoutMs = 25000;

// An error the peer answered with: its name ("org.freedesktop.systemd1.UnitExists") and text.
struct RemoteError {
  std::string name;
  std::string text;
};

class Connection {
 public:
  // Connects to the first endpoint that answers, authenticates (EXTERNAL, by the socket's credentials) and greets the
  // broker. The error names what was tried.
  static Result<Connection> open(Bus bus);
  static Result<Connection> open(const Endpoint& endpoint);
  // For tests: a socket that is connected already.
  static Result<Connection> over(UniqueFd socket, bool direct);

  bool direct() const { return direct_; }
  // Sends a call and waits for its answer. A remote error is a Reply with `error`; Errc::kTimeout, and Errc::kSystem
  // with ECONNRESET when the peer has gone (see disconnected()).
  struct Reply {
    std::vector<Value> body;
    std::optional<RemoteError> error;
  };
  Result<Reply> call(Message call, int timeout_ms = kReplyTimeoutMs);
  // The same without waiting: the answer, if any, is dropped.
  Status post(Message call);
  // The next signal for which `wanted` is true, from those that came during calls or from the socket; nullopt at the
  // end of the time.
  Result<std::optional<Message>> wait_signal(const std::function<bool(const Message&)>& wanted, int timeout_ms);

 private:
  Connection(UniqueFd socket, bool direct) : socket_(std::move(socket)), direct_(direct) {}
  Status authenticate();
  Status greet();
  Result<std::uint32_t> send(Message& message);
  Status send_bytes(std::string_view bytes, std::int64_t deadline_ms);
  Result<std::string> read_line(std::int64_t deadline_ms);
  // nullopt: the time has ended.
  Result<std::optional<Message>> next_message(std::int64_t deadline_ms);
  // False: the time has ended.
  Result<bool> fill(std::size_t bytes, std::int64_t deadline_ms);
  void keep_signal(Message message);

  UniqueFd socket_;
  bool direct_ = false;
  std::uint32_t last_serial_ = 0;
  std::string input_;
  std::deque<Message> signals_;
};

// The peer closed the conversation, or never listened: a new one may succeed.
bool is_disconnect(const Error& error);

}  // namespace cooper::dbus
