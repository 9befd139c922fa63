#include "container/net_devices.h"

#include <fcntl.h>
#include <net/if.h>

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "container/validate_rules.h"
#include "log/log.h"
#include "netlink/netlink.h"
#include "sys/file.h"

namespace cooper::container {
namespace {

bool is_interface_name(std::string_view name) {
  if (name.empty() || name.size() >= IFNAMSIZ || name == "." || name == "..") return false;
  return std::ranges::none_of(
      name, [](char c) { return c == '/' || c == ':' || static_cast<unsigned char>(c) <= ' ' || c == 0x7f; });
}

bool is_pattern(std::string_view name) {
  return name.find('%') != std::string_view::npos;
}

}  // namespace

Status check_net_devices(const oci::Config& config, std::string_view pointer) {
  const auto& devices = config.linux->net_devices;
  if (devices.empty()) return {};
  const std::string base(pointer);
  if (rules::find_namespace(config, "network") == nullptr)
    return rules::fail(base, "network devices can be moved only into a network namespace of the container");
  std::set<std::string_view> names;
  for (const auto& [host_name, device] : devices) {
    if (!is_interface_name(host_name) || is_pattern(host_name))
      return rules::fail(base, quoted(host_name) + " is not the name of a network interface");
    if (host_name == "lo") return rules::fail(base, "the loopback interface cannot be moved");
    const std::string at = base + "/" + host_name + "/name";
    if (!device.name.empty() && !is_interface_name(device.name))
      return rules::fail(at, quoted(device.name) + " is not the name of a network interface");
    const std::size_t percent = device.name.find('%');
    if (percent != std::string::npos &&
        (device.name.compare(percent, 2, "%d") != 0 || device.name.find('%', percent + 1) != std::string::npos))
      return rules::fail(at, quoted(device.name) + " may contain '%d' once and no other '%'");
    const std::string& name = device.name.empty() ? host_name : device.name;
    if (percent == std::string::npos && !names.insert(name).second)
      return rules::fail(at, "two network devices would have the name " + quoted(name));
  }
  return {};
}

Status MovedNetDevices::move(const MoveNetDevices& step, pid_t pid) {
  const std::string path = step.path.empty() ? "/proc/" + std::to_string(pid) + "/ns/net" : step.path;
  ASSIGN_OR_RETURN(const UniqueFd target, sys::openat(sys::kCwd, path, O_RDONLY));
  ASSIGN_OR_RETURN(own_namespace_, sys::openat(sys::kCwd, "/proc/self/ns/net", O_RDONLY));
  ASSIGN_OR_RETURN(const struct stat theirs, sys::fstat(target));
  ASSIGN_OR_RETURN(const struct stat ours, sys::fstat(own_namespace_));
  if (theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev)
    return Error(Errc::kInvalidArgument, "network devices cannot be moved: the container is in the caller's network");
  ASSIGN_OR_RETURN(host_, netlink::open_socket());
  ASSIGN_OR_RETURN(inside_, netlink::open_socket_in(target));
  for (const auto& [host_name, device] : step.devices) {
    auto name = netlink::move_link({host_name, device.name, host_, inside_, target, own_namespace_});
    if (!name.ok()) return std::move(name).error().with("network device " + quoted(host_name));
    moved_.push_back({host_name, std::move(name).value()});
  }
  return {};
}

void MovedNetDevices::give_back() {
  for (const Moved& moved : moved_) {
    auto back = netlink::move_link({moved.name, moved.host_name, inside_, host_, own_namespace_, BorrowedFd(-1)});
    if (!back.ok())
      log::warning("give network device " + quoted(moved.host_name) + " back to the host: " + back.error().message());
  }
  moved_.clear();
}

}  // namespace cooper::container
