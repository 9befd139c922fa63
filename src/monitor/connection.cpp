#include "monitor/internal/connection.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>

#include "io/event_loop.h"
#include "sys/retry.h"

namespace cooper::monitor::internal {

using protocol::FrameType;
using protocol::kHeaderSize;
using protocol::kMaxFrame;
using protocol::kMaxPayload;
using protocol::Stream;

void FrameQueue::pop() {
  bytes_ -= frames_.front().size();
  frames_.pop_front();
  // An idle queue keeps no memory.
  if (frames_.empty()) frames_ = {};
}

void FrameQueue::push(std::string frame) {
  bytes_ += frame.size();
  frames_.push_back(std::move(frame));
}

void FrameQueue::push_output(Stream stream, std::string_view data) {
  while (!data.empty()) {
    const bool joins = !frames_.empty() && frames_.back()[0] == static_cast<char>(FrameType::kOutput) &&
                       frames_.back()[1] == static_cast<char>(stream) && frames_.back().size() < kMaxFrame;
    if (!joins) push(protocol::make_frame(FrameType::kOutput, {}, stream));
    std::string& last = frames_.back();
    const std::size_t n = std::min(data.size(), kMaxFrame - last.size());
    last.append(data.substr(0, n));
    bytes_ += n;
    data.remove_prefix(n);
  }
}

void FrameQueue::clear() {
  frames_ = {};
  bytes_ = 0;
}

Connection::Sent Connection::transmit(std::string_view header, std::string_view payload) {
  struct iovec parts[2] = {{const_cast<char*>(header.data()), header.size()},
                           {const_cast<char*>(payload.data()), payload.size()}};
  struct msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  if (sys::retry([&] { return ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT); }) >= 0)
    return Sent::kAll;
  return errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM ? Sent::kBlocked : Sent::kBroken;
}

Connection::Sent Connection::send(std::string frame) {
  if (queue_.empty()) {
    const Sent sent = transmit(frame, {});
    if (sent != Sent::kBlocked) return sent;
    progress_ms_ = io::monotonic_ms();
  }
  queue_.push(std::move(frame));
  return Sent::kBlocked;
}

Connection::Sent Connection::send_output(Stream stream, std::string_view data) {
  while (queue_.empty() && !data.empty()) {
    char header[kHeaderSize];
    protocol::put_header(header, FrameType::kOutput, stream, 0);
    const std::string_view piece = data.substr(0, kMaxPayload);
    const Sent sent = transmit({header, kHeaderSize}, piece);
    if (sent == Sent::kBroken) return sent;
    if (sent == Sent::kBlocked) {
      progress_ms_ = io::monotonic_ms();
      break;
    }
    data.remove_prefix(piece.size());
  }
  if (data.empty()) return Sent::kAll;
  queue_.push_output(stream, data);
  return Sent::kBlocked;
}

Connection::Sent Connection::flush() {
  bool moved = false;
  Sent sent = Sent::kAll;
  while (!queue_.empty()) {
    sent = transmit(queue_.front(), {});
    if (sent != Sent::kAll) break;
    moved = true;
    queue_.pop();
  }
  if (moved) progress_ms_ = io::monotonic_ms();
  return sent;
}

Connection::Sent Connection::finish_with(std::string frame) {
  queue_.clear();
  closing_ = true;
  return send(std::move(frame));
}

}  // namespace cooper::monitor::internal
