#include "conmon/notify_relay.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/strings.h"
#include "io/file.h"
#include "sys/file.h"
#include "sys/retry.h"
#include "sys/socket.h"

namespace cooper::conmon {
namespace {

constexpr std::array<std::string_view, 7> kAllowed = {
    "READY=", "RELOADING=", "STOPPING=", "STATUS=", "ERRNO=", "BUSERROR=", "MONOTONIC_USEC="};
constexpr std::array<std::string_view, 2> kAllowedWhole = {"WATCHDOG=1", "WATCHDOG=trigger"};

Result<UniqueFd> connect_to(const std::string& name) {
  if (!name.starts_with("@")) return sys::unix_connect(name, SOCK_DGRAM);
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (name.size() > sizeof address.sun_path)
    return Error(Errc::kInvalidArgument, "socket name " + quoted(name) + " is too long");
  std::copy(name.begin() + 1, name.end(), address.sun_path + 1);
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return Error::from_errno(errno, "create socket");
  const auto length = static_cast<socklen_t>(offsetof(struct sockaddr_un, sun_path) + name.size());
  if (::connect(fd.get(), reinterpret_cast<const struct sockaddr*>(&address), length) != 0)
    return Error::from_errno(errno, "connect to " + quoted(name));
  return fd;
}

}  // namespace

std::string allowed_notifications(std::string_view message) {
  std::string out;
  for (const std::string_view line : split(message, '\n')) {
    const bool allowed =
        std::ranges::any_of(kAllowed, [&](std::string_view start) { return line.starts_with(start); }) ||
        std::ranges::find(kAllowedWhole, line) != kAllowedWhole.end();
    if (allowed) out.append(line).append("\n");
  }
  return out;
}

Status NotifyRelay::open(const std::string& bundle, const std::string& host_socket) {
  auto outside = connect_to(host_socket);
  if (!outside.ok()) return std::move(outside).error().with("--sdnotify-socket");
  outside_ = std::move(outside).value();
  const std::string directory = bundle + "/notify";
  RETURN_IF_ERROR(io::make_directories(directory));
  const std::string path = directory + "/notify.sock";
  (void)!sys::unlinkat(sys::kCwd, path).ok();
  // Datagram sockets are bound, not listened on; the path may be longer than an address.
  ASSIGN_OR_RETURN(const UniqueFd place, sys::openat(sys::kCwd, directory, O_PATH | O_DIRECTORY));
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string name = "/proc/self/fd/" + std::to_string(place.get()) + "/notify.sock";
  std::memcpy(address.sun_path, name.c_str(), name.size() + 1);
  inside_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!inside_) return Error::from_errno(errno, "create socket");
  if (::bind(inside_.get(), reinterpret_cast<const struct sockaddr*>(&address), sizeof address) != 0)
    return Error::from_errno(errno, "bind socket " + quoted(path));
  RETURN_IF_ERROR(sys::fchmodat(sys::kCwd, path, 0777));
  return loop_.add(inside_, EPOLLIN, [this](std::uint32_t) { on_readable(); });
}

void NotifyRelay::on_readable() {
  std::array<char, 4096> buffer;
  const auto n = sys::retry([&] { return ::recv(inside_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT); });
  if (n <= 0) return;
  const std::string message = allowed_notifications({buffer.data(), static_cast<std::size_t>(n)});
  // A manager that does not listen is no reason to stop anything.
  if (!message.empty()) (void)::send(outside_.get(), message.data(), message.size(), MSG_NOSIGNAL);
}

}  // namespace cooper::conmon
