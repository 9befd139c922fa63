#include "cli/coop/notify.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "base/strings.h"
#include "io/file.h"
#include "sys/file.h"
#include "sys/socket.h"

namespace cooper::cli::coop {
namespace {

constexpr int kBarrierTimeoutMs = 30000;

// <root>/.notify/<id>/notify.sock: the only functions that build these names. Ids never start with a dot.
std::string notify_directory(const std::string& root, const std::string& id) {
  return root + "/.notify/" + id;
}

std::optional<std::string> caller_socket() {
  const char* path = ::secure_getenv("NOTIFY_SOCKET");
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return std::nullopt;
  return std::string(path);
}

// sd_notify's addresses: a path, or "@name" for the abstract name space.
Result<socklen_t> fill_address(const std::string& path, struct sockaddr_un& address) {
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return Error(Errc::kInvalidArgument, "notify socket path " + quoted(path) + " is too long");
  std::memcpy(address.sun_path, path.data(), path.size());
  if (path[0] == '@') address.sun_path[0] = '\0';
  return static_cast<socklen_t>(offsetof(struct sockaddr_un, sun_path) + path.size() + (path[0] == '@' ? 0 : 1));
}

Status send_datagram(BorrowedFd socket, const std::string& target, std::string_view text, int fd) {
  struct sockaddr_un address = {};
  ASSIGN_OR_RETURN(const socklen_t length, fill_address(target, address));
  std::string data(text);
  struct iovec part = {data.data(), data.size()};
  alignas(struct cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  struct msghdr message = {};
  message.msg_name = &address;
  message.msg_namelen = length;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    struct cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket.get(), &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return Error::from_errno(errno, "notify " + quoted(target));
  return {};
}

}  // namespace

bool NotifyProxy::wanted() {
  return caller_socket().has_value();
}

Result<std::optional<NotifyProxy>> NotifyProxy::prepare(const std::string& root, const std::string& id) {
  const auto target = caller_socket();
  if (!target) return std::optional<NotifyProxy>();
  NotifyProxy proxy(*target, notify_directory(root, id));
  remove(root, id);  // of a container that was not deleted by this program
  RETURN_IF_ERROR(io::make_directories(root, 0711));
  RETURN_IF_ERROR(io::make_directories(root + "/.notify", 0711));
  // Any user of the container may send.
  RETURN_IF_ERROR(sys::mkdirat(sys::kCwd, proxy.directory_, 0755));
  RETURN_IF_ERROR(sys::fchmodat(sys::kCwd, proxy.directory_, 0755));  // whatever the caller's umask
  return std::optional<NotifyProxy>(std::move(proxy));
}

Result<std::optional<NotifyProxy>> NotifyProxy::open(const std::string& root, const std::string& id) {
  const auto target = caller_socket();
  NotifyProxy proxy(target.value_or(""), notify_directory(root, id));
  struct stat info = {};
  if (!target || ::lstat(proxy.directory_.c_str(), &info) != 0) return std::optional<NotifyProxy>();
  return std::optional<NotifyProxy>(std::move(proxy));
}

void NotifyProxy::remove(const std::string& root, const std::string& id) {
  struct stat info = {};
  const std::string directory = notify_directory(root, id);
  if (::lstat(directory.c_str(), &info) != 0) return;
  (void)!io::remove_tree(sys::kCwd, directory).ok();
  // The last one takes the parent along.
  (void)::rmdir((root + "/.notify").c_str());
}

oci::Mount NotifyProxy::mount() const {
  return {"/run/notify", "bind", directory_, {"bind", "nosuid", "noexec", "nodev", "ro"}, {}, {}};
}

std::string NotifyProxy::environment() const {
  return "NOTIFY_SOCKET=/run/notify/notify.sock";
}

Status NotifyProxy::listen() {
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return Error::from_errno(errno, "make the notify socket");
  socket_.reset(fd);
  const std::string path = directory_ + "/notify.sock";
  (void)::unlink(path.c_str());
  struct sockaddr_un address = {};
  ASSIGN_OR_RETURN(const socklen_t length, fill_address(path, address));
  if (::bind(fd, reinterpret_cast<const struct sockaddr*>(&address), length) != 0)
    return Error::from_errno(errno, "bind the notify socket " + quoted(path));
  return sys::fchmodat(sys::kCwd, path, 0777);
}

Status NotifyProxy::tell_caller(pid_t main_pid) const {
  const std::string ready = "READY=1\nMAINPID=" + std::to_string(main_pid) + "\n";
  RETURN_IF_ERROR(send_datagram(socket_, target_, ready, -1));
  // The caller (a service manager) closes the pipe once it has processed all earlier messages; only then may we end, or
  // it would take the message for one of an unknown process.
  ASSIGN_OR_RETURN(auto pipe, sys::pipe2());
  if (!send_datagram(socket_, target_, "BARRIER=1", pipe.write.get()).ok()) return {};
  pipe.write.reset();
  pollfd wait = {pipe.read.get(), POLLIN, 0};
  (void)::poll(&wait, 1, kBarrierTimeoutMs);
  return {};
}

Result<bool> NotifyProxy::forward(pid_t main_pid) {
  while (true) {
    auto message = sys::recv_message(socket_, 4096, MSG_DONTWAIT);
    if (!message.ok()) {
      if (message.error().errno_value() == EAGAIN || message.error().errno_value() == 0) return false;
      return std::move(message).error();
    }
    for (const std::string_view line : split(message->data, '\n')) {
      if (line != "READY=1") continue;
      RETURN_IF_ERROR(tell_caller(main_pid));
      return true;
    }
  }
}

Status NotifyProxy::wait_ready(pid_t main_pid, BorrowedFd pidfd) {
  while (true) {
    std::array<pollfd, 2> fds{{{socket_.get(), POLLIN, 0}, {pidfd.get(), POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return Error::from_errno(errno, "poll");
    }
    if (fds[0].revents != 0) {
      ASSIGN_OR_RETURN(const bool ready, forward(main_pid));
      if (ready) return {};
    }
    if (fds[1].revents != 0) return {};  // ended before it was ready: not our failure
  }
}

}  // namespace cooper::cli::coop
