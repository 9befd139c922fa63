// What the configuration of libcontainer asks for and the runtime specification has no words for: a value beside
// oci::Config, for those who have one (convert/ makes it). A container without extras pays nothing for them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace cooper::container {

// Runs on the host's side of the container's mount namespace, before the root is switched.
struct MountCommand {
  std::string path;               // looked for in the caller's PATH when it holds no slash
  std::vector<std::string> args;  // after the program's name
  std::vector<std::string> env;   // empty: the caller's
  std::string dir;                // empty: the caller's
};

struct MountExtras {
  std::size_t index = 0;  // in oci::Config::mounts
  std::vector<MountCommand> before, after;
  std::string relabel;  // "z": for several containers, "Z": for this one; the source of a bind mount
};

// One veth pair: the end with `name` in the container, the other on the host.
struct Interface {
  std::string name;
  std::string host_name;  // empty: chosen at the start
  std::string bridge;     // the host's end becomes a port of it; empty: of none
  std::string mac;
  std::vector<std::string> addresses;             // CIDR, of either family
  std::vector<std::string> gateways;              // default routes
  std::uint32_t mtu_bytes = 0, tx_queue_len = 0;  // of both ends; 0: the kernel's
  bool hairpin = false;
};

struct ExtraRoute {
  std::string destination, source, gateway, interface_name;
};

enum class DeviceNodes {
  kStandard,  // the listed ones and those every container has
  kListed,    // the listed ones
  kNone,      // /dev is left as it is
};

struct Extras {
  std::vector<MountExtras> mounts;  // by ascending index
  bool loopback = false;            // of a new or joined network namespace; without it "lo" stays as it is
  std::vector<Interface> interfaces;
  std::vector<ExtraRoute> routes;
  DeviceNodes device_nodes = DeviceNodes::kStandard;
  bool exact_device_rules = false;  // the rules of the config and no others
  std::string pivot_dir;            // must be a directory of the root file system
};

}  // namespace cooper::container
