// Unix sockets and descriptor passing.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::sys {

struct SocketPair {
  UniqueFd first;
  UniqueFd second;
};
Result<SocketPair> socketpair(int type);  // SOCK_SEQPACKET or SOCK_STREAM, AF_UNIX
// Paths longer than sun_path are reached through /proc/self/fd of their directory.
Result<UniqueFd> unix_listen(const std::string& path, int type, mode_t mode);
// Waits ten seconds at most for a listener whose queue is full (ETIMEDOUT).
Result<UniqueFd> unix_connect(const std::string& path, int type);
Result<UniqueFd> accept(BorrowedFd listener);

// One message with descriptors attached; MSG_NOSIGNAL. data must not be empty on stream sockets.
Status send_message(BorrowedFd socket, std::string_view data, std::span<const int> fds = {});
struct Message {
  std::string data;
  std::vector<UniqueFd> fds;
  bool eof = false;  // orderly end, nothing received
};
// Receives at most max_bytes; see retry_receive(). Descriptors arrive close-on-exec. A truncated message is an error.
Result<Message> recv_message(BorrowedFd socket, std::size_t max_bytes, int flags = 0);

}  // namespace cooper::sys
