// All clients of one monitor: accepts, reads requests, fans output out, keeps slow ones from hurting anybody else.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "io/event_loop.h"
#include "monitor/internal/connection.h"
#include "monitor/protocol.h"

namespace cooper::monitor::internal {

// What the hub asks of the pod's supervisor. App numbers are valid indices.
class HubHandler {
 public:
  virtual ~HubHandler() = default;
  // Empty name: the only app.
  virtual Result<int> find_app(std::string_view name) = 0;
  virtual Result<std::string> exit_json(int app) = 0;  // Errc::kWrongState while it runs
  virtual bool app_has_terminal(int app) = 0;
  virtual bool stdin_once(int app) = 0;
  virtual bool stdin_open(int app) = 0;
  // Room for one more frame of input; when false, Hub::input_ready(app) is called later (never from inside these
  // calls).
  virtual bool stdin_has_room(int app) = 0;
  virtual void write_stdin(int app, std::string_view data) = 0;
  virtual void close_stdin(int app) = 0;
  virtual void resize(int app, std::uint16_t height, std::uint16_t width) = 0;
  virtual Status stop(int app, const protocol::AppRequest& request) = 0;  // kNoApp: the pod
  virtual Status kill(int app, int signal) = 0;
  virtual Status reopen_logs() = 0;
  virtual protocol::PodStatus status() = 0;
  // The app's streams may be read again.
  virtual void flow_changed(int app) = 0;
};

class Hub {
 public:
  static constexpr std::size_t kMaxConnections = 128;

  Hub(io::EventLoop& loop, HubHandler& handler, std::string hello)
      : loop_(loop), handler_(handler), hello_(std::move(hello)) {}

  // Takes over the listening socket.
  Status listen(UniqueFd socket);
  // The client that came with launch(): attached before the first byte.
  Status adopt_first(UniqueFd socket, int app, bool with_stdin);

  void output(int app, protocol::Stream stream, std::string_view data);
  // A client that is waited for has too much queued.
  bool holds_back(int app) const;
  // The app's input has room again.
  void input_ready(int app);
  void app_exited(int app, const std::string& record_json);
  void release_memory();
  // Accepts who is still in line, then no more.
  void stop_listening();
  // Sends the last frame to everybody. Clients with unsent data remain; take_unsent() hands them out.
  void finish(const std::string& frame);
  // Connections whose queue is not empty, for somebody who waits for them; all others are closed.
  std::vector<std::unique_ptr<Connection>> take_unsent();

 private:
  Connection* admit(UniqueFd socket);
  void accept_ready();
  void on_event(std::uint64_t id, std::uint32_t events);
  // False when the connection was closed.
  bool read_frames(Connection& connection);
  bool read_frame(Connection& connection, std::string_view packet);
  bool handle_request(Connection& connection, const protocol::FrameView& frame);
  Status handle_attach(Connection& connection, std::string_view payload);
  Status handle_app_request(Connection& connection, const protocol::FrameView& frame);
  void handle_stdin(Connection& connection, std::string_view data);
  bool reply(Connection& connection, const protocol::FrameView& frame, const Status& status);
  bool after_send(Connection& connection, Connection::Sent sent);
  // Closed connections are only marked while any call is on the stack: handlers call back into the hub.
  class Entry {
   public:
    explicit Entry(Hub& hub) : hub_(hub) { ++hub_.depth_; }
    ~Entry() {
      if (--hub_.depth_ == 0) hub_.sweep();
    }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

   private:
    Hub& hub_;
  };
  void sweep();
  void update_events(Connection& connection);
  void drop(Connection& connection, std::string_view why);
  void close(Connection& connection);
  void claim_stdin(Connection& connection);
  void release_stdin(Connection& connection);
  void check_stuck();
  void watch_stuck();

  io::EventLoop& loop_;
  HubHandler& handler_;
  std::string hello_;
  UniqueFd listener_;
  std::map<std::uint64_t, std::unique_ptr<Connection>> connections_;
  std::uint64_t next_id_ = 1;
  int depth_ = 0;
  bool any_dead_ = false;
  bool stuck_timer_ = false;
  std::string packet_;  // the frame being handled
};

}  // namespace cooper::monitor::internal
