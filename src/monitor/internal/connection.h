// One client of the monitor: its socket, its bounded queue, what it is attached to. Never blocks.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "monitor/protocol.h"

namespace cooper::monitor::internal {

inline constexpr std::size_t kQueueLimit = std::size_t{1} << 20;  // a client that is not waited for is dropped beyond
inline constexpr std::size_t kHoldBackHigh = std::size_t{256} << 10;
inline constexpr std::size_t kHoldBackLow = std::size_t{64} << 10;
inline constexpr std::int64_t kStuckMs = 10000;  // a hold_back client that takes nothing for so long is dropped
inline constexpr int kNoApp = -1;

// Frames waiting for a socket. Output of one stream is joined into full frames.
class FrameQueue {
 public:
  bool empty() const { return frames_.empty(); }
  std::size_t bytes() const { return bytes_; }
  const std::string& front() const { return frames_.front(); }
  void pop();
  void push(std::string frame);
  void push_output(protocol::Stream stream, std::string_view data);
  void clear();

 private:
  std::deque<std::string> frames_;
  std::size_t bytes_ = 0;
};

class Connection {
 public:
  enum class Sent { kAll, kBlocked, kBroken };

  Connection(UniqueFd socket, std::uint64_t id) : socket_(std::move(socket)), id_(id) {}

  BorrowedFd fd() const { return socket_; }
  std::uint64_t id() const { return id_; }

  // Sends what the socket takes now and queues the rest. kBroken: the peer is gone.
  Sent send(std::string frame);
  Sent send_output(protocol::Stream stream, std::string_view data);
  Sent flush();
  std::size_t queued() const { return queue_.bytes(); }
  // Takes the socket and what is still queued for it away from this object.
  UniqueFd release_socket() { return std::move(socket_); }
  // Forgets what is queued: the connection ends with `frame`.
  Sent finish_with(std::string frame);

  bool attached_to(int app, protocol::Stream stream) const {
    return app_ == app &&
           ((stream == protocol::Stream::kStdout && out_) || (stream == protocol::Stream::kStderr && err_));
  }

  // Attachment; app_ is an index into the pod's apps.
  int app_ = kNoApp;
  bool in_ = false, out_ = false, err_ = false;
  bool hold_back_ = false;
  bool foreground_ = false;  // waited for without limit
  bool stdin_owner_ = false;
  bool detached_ = false;
  bool input_blocked_ = false;    // not read while its app's input is full
  bool hung_up_ = false;          // the peer is gone, frames of it may still be unread
  bool closing_ = false;          // ends when the queue is empty
  bool congested_ = false;        // hold_back_ and above kHoldBackHigh, not yet below kHoldBackLow
  bool dead_ = false;             // closed, object not yet swept
  std::vector<int> watched_;      // apps whose kExit it wants
  std::int64_t progress_ms_ = 0;  // when it last took something while its queue was not empty
  std::uint32_t events_ = 0;      // registered with the loop; 0: not registered

 private:
  Sent transmit(std::string_view header, std::string_view payload);

  UniqueFd socket_;
  std::uint64_t id_;
  FrameQueue queue_;
};

}  // namespace cooper::monitor::internal
