// One request and its answer on a route socket.
#pragma once

#include <sys/socket.h>

#include <atomic>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "netlink/internal/message.h"
#include "netlink/netlink.h"
#include "sys/retry.h"

namespace cooper::netlink {

Error refuse_name(const std::string& name);

// The kernel fills datagrams of a dump up to 32 KiB when the reader offers that much.
inline constexpr std::size_t kReceiveBytes = 32768;

// A socket of the caller, or one of our own for the length of the call.
class Socket {
 public:
  static Result<Socket> borrow_or_open(BorrowedFd socket) {
    Socket out;
    if (!socket.valid()) {
      ASSIGN_OR_RETURN(out.own_, open_socket());
      socket = out.own_;
    }
    out.fd_ = socket.get();
    return out;
  }

  // Sends the request and calls f(type, payload) for each message of the answer. Returns kInterrupted when the list
  // changed meanwhile.
  template <typename F>
  Result<Progress> ask(Request request, F f) {
    // Unique among the requests this process has open on one socket: a stale answer must not be taken for this one's.
    static std::atomic<std::uint32_t> last = 0;
    const std::uint32_t sequence = ++last;
    const std::string& bytes = request.finish(sequence);
    const ssize_t sent = sys::retry([&] { return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL); });
    if (sent < 0) return Error::from_errno(errno, "send netlink request");
    std::vector<char> buffer(kReceiveBytes);
    bool interrupted = false;
    while (true) {
      const ssize_t n = sys::retry([&] { return ::recv(fd_, buffer.data(), buffer.size(), MSG_TRUNC); });
      if (n < 0) return Error::from_errno(errno, "receive netlink answer");
      if (static_cast<std::size_t>(n) > buffer.size())
        return Error(Errc::kLimit, "netlink answer of " + std::to_string(n) + " bytes is too long", EMSGSIZE);
      ASSIGN_OR_RETURN(const Progress progress, walk({buffer.data(), static_cast<std::size_t>(n)}, sequence, f));
      if (progress == Progress::kDone) return interrupted ? Progress::kInterrupted : Progress::kDone;
      interrupted = interrupted || progress == Progress::kInterrupted;
    }
  }

 private:
  UniqueFd own_;
  int fd_ = -1;
};

// A request that is answered by an acknowledgement only.
inline Status command(BorrowedFd borrowed, Request request) {
  ASSIGN_OR_RETURN(Socket socket, Socket::borrow_or_open(borrowed));
  auto done = socket.ask(std::move(request), [](std::uint16_t, std::string_view) {});
  return done.ok() ? Status() : Status(std::move(done).error());
}

}  // namespace cooper::netlink
