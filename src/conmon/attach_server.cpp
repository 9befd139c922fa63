#include "conmon/attach_server.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/strings.h"
#include "sys/file.h"
#include "sys/retry.h"
#include "sys/socket.h"

namespace cooper::conmon {
namespace {

using monitor::protocol::Stream;

constexpr std::size_t kInput = std::size_t{32} << 10;
constexpr char kOutputMark = 2;
constexpr char kErrorMark = 3;

// False: the socket is full. Errors of a client that went are for its hang-up to tell.
bool send_packet(BorrowedFd fd, std::string_view packet) {
  const auto sent =
      sys::retry([&] { return ::send(fd.get(), packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL); });
  return sent >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

}  // namespace

Status AttachServer::listen(const std::string& path) {
  Status removed = sys::unlinkat(sys::kCwd, path);
  if (!removed.ok() && removed.error().errno_value() != ENOENT)
    return std::move(removed).error().with("replace attach socket " + quoted(path));
  ASSIGN_OR_RETURN(listener_, sys::unix_listen(path, SOCK_SEQPACKET, 0700));
  RETURN_IF_ERROR(sys::fcntl_setfl(listener_, O_RDWR | O_NONBLOCK));
  return loop_.add(listener_, EPOLLIN, [this](std::uint32_t) { take_clients(); });
}

void AttachServer::take_clients() {
  while (true) {
    auto accepted = sys::accept(listener_);
    if (!accepted.ok()) return;
    Client& client = clients_.emplace_back();
    client.fd = std::move(accepted).value();
    const std::uint32_t mask = paused_ ? 0U : std::uint32_t{EPOLLIN};
    if (!loop_.add(client.fd, mask, [this, &client](std::uint32_t events) { on_event(client, events); }).ok())
      clients_.pop_back();
  }
}

void AttachServer::watch(Client& client) {
  if (client.gone) return;
  std::uint32_t events = 0;
  if (client.reads && !paused_) events |= EPOLLIN;
  if (!client.pending.empty()) events |= EPOLLOUT;
  (void)!loop_.modify(client.fd, events).ok();
}

void AttachServer::on_event(Client& client, std::uint32_t events) {
  if ((events & EPOLLIN) != 0) read_input(client);
  if ((events & EPOLLOUT) != 0) send_pending(client);
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
    end_input(client);
    client.gone = true;
  }
  watch(client);
  sweep();
}

void AttachServer::read_input(Client& client) {
  std::array<char, kInput> buffer;
  while (client.reads && !paused_) {
    const auto n =
        sys::retry_receive([&] { return ::recv(client.fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT); });
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      end_input(client);
      return;
    }
    hooks_.input(std::string_view(buffer.data(), static_cast<std::size_t>(n)));
  }
}

void AttachServer::end_input(Client& client) {
  if (!client.reads) return;
  client.reads = false;
  hooks_.input_end();
}

// A socket that is closed with something unread is reset, and the client is told of that before it has got the output
// that still lies there for it: podman and CRI-O then take the rest for lost.
void AttachServer::refuse_input(Client& client) {
  client.reads = false;
  (void)::shutdown(client.fd.get(), SHUT_RD);
  std::array<char, kInput> unread;
  while (sys::retry_receive([&] { return ::recv(client.fd.get(), unread.data(), unread.size(), MSG_DONTWAIT); }) > 0)
    continue;
}

void AttachServer::send_pending(Client& client) {
  while (!client.pending.empty()) {
    if (!send_packet(client.fd, client.pending.front())) return;
    client.pending_bytes -= client.pending.front().size();
    client.pending.pop_front();
  }
  if (finished_) client.gone = true;
}

void AttachServer::output(Stream stream, std::string_view data) {
  if (clients_.empty()) return;
  std::array<char, kPacket + 1> packet;
  packet[0] = stream == Stream::kStderr ? kErrorMark : kOutputMark;
  while (!data.empty()) {
    const std::size_t n = std::min(data.size(), kPacket);
    std::memcpy(packet.data() + 1, data.data(), n);
    data.remove_prefix(n);
    const std::string_view text(packet.data(), n + 1);
    for (Client& client : clients_) {
      if (client.pending.empty() && send_packet(client.fd, text)) continue;
      client.pending.emplace_back(text);
      client.pending_bytes += text.size();
      if (client.pending.size() == 1) watch(client);
    }
  }
}

bool AttachServer::holds_back() const {
  return std::ranges::any_of(clients_, [](const Client& client) { return client.pending_bytes >= kPendingLimit; });
}

void AttachServer::pause_input(bool paused) {
  if (paused_ == paused) return;
  paused_ = paused;
  for (Client& client : clients_) watch(client);
}

void AttachServer::finish() {
  // Who has just connected gets the end, not silence.
  if (listener_) {
    take_clients();
    loop_.remove(listener_);
    listener_.reset();
  }
  finished_ = true;
  for (Client& client : clients_) {
    refuse_input(client);
    if (client.pending.empty()) client.gone = true;
    watch(client);
  }
  sweep();
}

void AttachServer::sweep() {
  clients_.remove_if([this](Client& client) {
    if (client.gone) loop_.remove(client.fd);
    return client.gone;
  });
  hooks_.room();
}

}  // namespace cooper::conmon
