// The attach socket: clients of podman and CRI-O get the container's output and give it input.
//
// A sequenced-packet socket. To the client: one byte for the stream (2 output, 3 errors) and up to 8192 bytes. From the
// client: bytes of input; its half-close is the end of input. A client that does not take its output holds the
// container back (holds_back()); nothing is dropped as long as it is there.
#pragma once

#include <functional>
#include <list>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "io/event_loop.h"
#include "monitor/protocol.h"

namespace cooper::conmon {

class AttachServer {
 public:
  static constexpr std::size_t kPacket = 8192;
  static constexpr std::size_t kPendingLimit = std::size_t{256} << 10;

  struct Hooks {
    std::function<void(std::string_view)> input;
    std::function<void()> input_end;  // a client's input ended, or the client went
    std::function<void()> room;       // holds_back() may have changed
  };
  AttachServer(io::EventLoop& loop, Hooks hooks) : loop_(loop), hooks_(std::move(hooks)) {}
  AttachServer(const AttachServer&) = delete;
  AttachServer& operator=(const AttachServer&) = delete;

  // Replaces what is at `path`. The path may be longer than a socket address.
  Status listen(const std::string& path);
  void output(monitor::protocol::Stream stream, std::string_view data);
  // True while a client has too much before it.
  bool holds_back() const;
  // Stops reading from clients, whose input the container does not take; and goes on.
  void pause_input(bool paused);
  // No more output: clients are closed when they have all of it, and no new ones are taken.
  void finish();
  bool idle() const { return clients_.empty(); }

 private:
  struct Client {
    UniqueFd fd;
    std::list<std::string> pending;  // packets
    std::size_t pending_bytes = 0;
    bool reads = true;  // its input has not ended
    bool gone = false;
  };
  void take_clients();
  void on_event(Client& client, std::uint32_t events);
  void read_input(Client& client);
  void end_input(Client& client);
  void refuse_input(Client& client);
  void send_pending(Client& client);
  void watch(Client& client);
  void sweep();

  io::EventLoop& loop_;
  Hooks hooks_;
  UniqueFd listener_;
  std::list<Client> clients_;
  bool paused_ = false;
  bool finished_ = false;
};

}  // namespace cooper::conmon
