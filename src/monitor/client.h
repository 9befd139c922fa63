// The client side of monitor.sock (protocol.h): what `run`, `attach`, `stop`, `wait` and `pod status` are made of.
//
// One connection, one thread. Requests wait for their reply (at most kReplyTimeoutMs; frames that arrive meanwhile are
// kept and come from next() later, in order). fd() may be watched for readability by the caller's own loop; before
// sleeping on it call pending().
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "monitor/monitor.h"
#include "monitor/protocol.h"

namespace cooper::monitor {

inline constexpr int kReplyTimeoutMs = 8000;

struct Event {
  enum class Kind {
    kTimeout,  // nothing came in time
    kOutput,   // stream, data
    kExit,     // records[0]: an attached or awaited app ended
    kPodExit,  // records: the pod ended; the connection is of no further use
    kDropped,  // data: why the monitor let this client go
    kClosed,   // the monitor is gone without a word: killed, see the exit records
  };
  Kind kind = Kind::kTimeout;
  protocol::Stream stream = protocol::Stream::kNone;
  std::string data;
  std::vector<ExitRecord> records;
};

class Client {
 public:
  // Errc::kWrongState when nobody listens: the pod does not run.
  static Result<Client> connect(const std::string& socket_path);
  // A connected socket: Launched::client, or Engine::monitor_socket(). Waits for the monitor's hello.
  static Result<Client> adopt(UniqueFd socket);

  BorrowedFd fd() const { return socket_; }
  const protocol::Hello& hello() const { return hello_; }

  Status attach(const protocol::AttachRequest& request);
  // Sets the size of the app's terminal; no effect on an app without one. No answer is awaited.
  Status resize(const std::string& app, std::uint16_t height, std::uint16_t width);
  // Stop signal (or `signal`) to the app, or to all of them when empty, SIGKILL after timeout_ms. Returns when the
  // signal was sent; the end comes as kExit (after watch()) and kPodExit.
  Status stop(const std::string& app, std::int64_t timeout_ms = -1, int signal = 0);
  Status kill(const std::string& app, int signal);
  // After an outside program renamed the log files.
  Status reopen_logs();
  Result<protocol::PodStatus> status();
  // kExit of the app will come although not attached to it.
  Status watch(const std::string& app);
  // watch() and discard everything until the app ended. Errc::kTimeout; Errc::kWrongState when the monitor was killed.
  Result<ExitRecord> wait(const std::string& app, int timeout_ms = -1);

  // Bytes for the app's standard input. Blocks while the app does not read; what arrives meanwhile is kept for next().
  Status send_stdin(std::string_view data);
  Status send_stdin_eof();
  // Announces that this connection ends and the app's input shall stay open.
  Status detach();
  // For callers with a loop of their own, which must never block: false (or the count taken, perhaps 0) means that the
  // monitor does not read now; wait for fd() to become writable and call again.
  Result<std::size_t> try_send_stdin(std::string_view data);
  Result<bool> try_send_stdin_eof();
  Result<bool> try_resize(const std::string& app, std::uint16_t height, std::uint16_t width);

  // True when next(0) would return an event without reading the socket.
  bool pending() const { return !kept_.empty(); }
  // The next event, waiting at most timeout_ms (-1: for ever).
  Result<Event> next(int timeout_ms);

 private:
  explicit Client(UniqueFd socket) : socket_(std::move(socket)) {}
  Result<bool> try_send(protocol::FrameType type, std::string_view payload, std::uint16_t request = 0);
  Status send(protocol::FrameType type, std::string_view payload, std::uint16_t request = 0);
  Status keep_one();
  Result<std::string> request(protocol::FrameType type, const std::string& body);
  Status simple_request(protocol::FrameType type, const std::string& body);
  // One packet into packet_; false on timeout. An ended connection gives an empty packet.
  Result<bool> receive(int timeout_ms);
  Result<Event> event_of(const protocol::FrameView& frame) const;

  UniqueFd socket_;
  protocol::Hello hello_;
  std::uint16_t next_request_ = 1;
  std::string packet_;
  std::deque<Event> kept_;
};

}  // namespace cooper::monitor
