#include "netlink/netlink.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/strings.h"
#include "netlink/internal/message.h"
#include "netlink/internal/socket.h"
#include "netlink/loopback_lastmile.h"

namespace cooper::netlink {

Error refuse_name(const std::string& name) {
  return Error(
      Errc::kInvalidArgument,
      "network interface name " + quoted(name) + " is empty or longer than " + std::to_string(IFNAMSIZ - 1) + " bytes",
      EINVAL);
}

namespace {

// A namespace whose links change faster than they can be listed this often is somebody's experiment.
constexpr int kDumpAttempts = 16;

template <typename F>
Status dump(Socket& socket, std::uint16_t type, F f) {
  struct rtgenmsg fixed = {.rtgen_family = AF_UNSPEC};
  ASSIGN_OR_RETURN(const Progress progress, socket.ask(Request(type, NLM_F_DUMP, fixed), f));
  if (progress == Progress::kInterrupted)
    return Error(Errc::kBusy, "network interfaces changed while they were listed", EINTR);
  return {};
}

Result<std::vector<Link>> list_once(Socket& socket) {
  std::vector<Link> links;
  RETURN_IF_ERROR(dump(socket, RTM_GETLINK, [&](std::uint16_t type, std::string_view payload) {
    Link link;
    if (type == RTM_NEWLINK && parse_link(payload, link)) links.push_back(std::move(link));
  }));
  RETURN_IF_ERROR(dump(socket, RTM_GETADDR, [&](std::uint16_t type, std::string_view payload) {
    Address address;
    int index = 0;
    if (type != RTM_NEWADDR || !parse_address(payload, address, index)) return;
    const auto link = std::find_if(links.begin(), links.end(), [&](const Link& l) { return l.index == index; });
    if (link != links.end()) link->addresses.push_back(std::move(address));
  }));
  std::sort(links.begin(), links.end(), [](const Link& a, const Link& b) { return a.index < b.index; });
  return links;
}

Status change_link(BorrowedFd borrowed, const std::string& name, bool up) {
  if (name.empty() || name.size() >= IFNAMSIZ) return refuse_name(name);
  ASSIGN_OR_RETURN(Socket socket, Socket::borrow_or_open(borrowed));
  struct ifinfomsg fixed = {};
  fixed.ifi_flags = up ? IFF_UP : 0;
  fixed.ifi_change = IFF_UP;
  Request request(RTM_NEWLINK, NLM_F_ACK, fixed);
  request.attribute(IFLA_IFNAME, name);
  auto done = socket.ask(std::move(request), [](std::uint16_t, std::string_view) {});
  if (!done.ok()) return std::move(done).error().with("set network interface " + quoted(name) + (up ? " up" : " down"));
  return {};
}

}  // namespace

Result<UniqueFd> open_socket() {
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return Error::from_errno(errno, "open netlink socket");
  UniqueFd out(fd);
  // Words of the kernel in error answers (4.12); without them there is still the errno.
  const int on = 1;
  (void)::setsockopt(out.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  return out;
}

Status set_loopback_up() {
  const char* failed = raise_loopback();
  return failed == nullptr ? Status() : Status(Error::from_errno(errno, failed));
}

Status set_link_up(BorrowedFd socket, const std::string& name) {
  return change_link(socket, name, true);
}

Status set_link_down(BorrowedFd socket, const std::string& name) {
  return change_link(socket, name, false);
}

Result<std::vector<Link>> list_links(BorrowedFd socket) {
  ASSIGN_OR_RETURN(Socket route, Socket::borrow_or_open(socket));
  for (int attempt = 1;; ++attempt) {
    auto links = list_once(route);
    if (links.ok() || links.error().code() != Errc::kBusy || attempt == kDumpAttempts) {
      if (!links.ok()) return std::move(links).error().with("list network interfaces");
      return links;
    }
  }
}

Result<std::optional<Link>> find_link(BorrowedFd socket, const std::string& name) {
  ASSIGN_OR_RETURN(auto links, list_links(socket));
  for (Link& link : links) {
    if (link.name == name) return std::optional<Link>(std::move(link));
  }
  return std::optional<Link>();
}

}  // namespace cooper::netlink
