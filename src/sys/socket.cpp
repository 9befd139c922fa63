#include "sys/socket.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "base/strings.h"
#include "sys/file.h"
#include "sys/retry.h"

namespace cooper::sys {
namespace {

constexpr std::size_t kMaxFds = 64;

struct Address {
  struct sockaddr_un addr = {};
  socklen_t length = 0;
  UniqueFd directory;  // keeps /proc/self/fd/N valid for long paths
};

Result<Address> make_address(const std::string& path) {
  Address out;
  out.addr.sun_family = AF_UNIX;
  std::string text = path;
  if (text.size() >= sizeof out.addr.sun_path) {
    const auto slash = text.rfind('/');
    const std::string dir = slash == std::string::npos ? "." : text.substr(0, slash + 1);
    ASSIGN_OR_RETURN(out.directory, openat(kCwd, dir, O_PATH | O_DIRECTORY));
    text = "/proc/self/fd/" + std::to_string(out.directory.get()) + "/" + text.substr(slash + 1);
  }
  if (text.size() >= sizeof out.addr.sun_path) {
    return Error(Errc::kInvalidArgument, "socket name " + quoted(path) + " is too long");
  }
  std::memcpy(out.addr.sun_path, text.c_str(), text.size() + 1);
  out.length = static_cast<socklen_t>(offsetof(struct sockaddr_un, sun_path) + text.size() + 1);
  return out;
}

// A listener whose queue is full lets others wait for ever.
constexpr struct timeval kConnectPatience = {10, 0};

Status set_send_timeout(BorrowedFd socket, struct timeval limit) {
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0) return {};
  return Error::from_errno(errno, "set the time limit of a socket");
}

}  // namespace

Result<SocketPair> socketpair(int type) {
  std::array<int, 2> fds{};
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds.data()) != 0)
    return Error::from_errno(errno, "create socket pair");
  return SocketPair{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

Result<UniqueFd> unix_listen(const std::string& path, int type, mode_t mode) {
  ASSIGN_OR_RETURN(const Address address, make_address(path));
  UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (!fd) return Error::from_errno(errno, "create socket");
  // fchmod before bind: the socket file is born with the right mode, never wider.
  if (::fchmod(fd.get(), mode) != 0) return Error::from_errno(errno, "set mode of socket " + quoted(path));
  if (::bind(fd.get(), reinterpret_cast<const struct sockaddr*>(&address.addr), address.length) != 0) {
    const int saved = errno;
    return Error::from_errno(saved, "bind socket " + quoted(path));
  }
  if (::listen(fd.get(), 64) != 0) {
    const int saved = errno;
    return Error::from_errno(saved, "listen on " + quoted(path));
  }
  return fd;
}

Result<UniqueFd> unix_connect(const std::string& path, int type) {
  ASSIGN_OR_RETURN(const Address address, make_address(path));
  UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (!fd) return Error::from_errno(errno, "create socket");
  RETURN_IF_ERROR(set_send_timeout(fd, kConnectPatience));
  if (retry([&] {
        return ::connect(fd.get(), reinterpret_cast<const struct sockaddr*>(&address.addr), address.length);
      }) != 0) {
    const int saved = errno;
    if (saved != EAGAIN) return Error::from_errno(saved, "connect to " + quoted(path));
    return Error::from_errno(ETIMEDOUT, "connect to " + quoted(path))
        .with_hint("whoever listens there takes nobody in");
  }
  RETURN_IF_ERROR(set_send_timeout(fd, {}));
  return fd;
}

Result<UniqueFd> accept(BorrowedFd listener) {
  UniqueFd fd(retry([&] { return ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC); }));
  if (!fd) return Error::from_errno(errno, "accept connection");
  return fd;
}

Status send_message(BorrowedFd socket, std::string_view data, std::span<const int> fds) {
  if (fds.size() > kMaxFds) return Error(Errc::kLimit, "too many descriptors in one message");
  struct iovec iov = {const_cast<char*>(data.data()), data.size()};
  alignas(struct cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMaxFds)> control{};
  struct msghdr message = {};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    struct cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  const ssize_t n = retry([&] { return ::sendmsg(socket.get(), &message, MSG_NOSIGNAL); });
  if (n < 0) return Error::from_errno(errno, "send message");
  if (static_cast<std::size_t>(n) < data.size()) return write_all(socket, data.substr(static_cast<std::size_t>(n)));
  return {};
}

Result<Message> recv_message(BorrowedFd socket, std::size_t max_bytes, int flags) {
  Message out;
  out.data.resize(max_bytes);
  struct iovec iov = {out.data.data(), out.data.size()};
  alignas(struct cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMaxFds)> control{};
  struct msghdr message = {};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t n = retry_receive([&] { return ::recvmsg(socket.get(), &message, flags | MSG_CMSG_CLOEXEC); });
  if (n < 0) return Error::from_errno(errno, "receive message");
  out.data.resize(static_cast<std::size_t>(n));
  for (struct cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
      out.fds.emplace_back(fd);
    }
  }
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return Error(Errc::kCorrupt, "message was truncated");
  out.eof = n == 0 && out.fds.empty();
  return out;
}

}  // namespace cooper::sys
