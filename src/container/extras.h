// What the configuration of libcontainer, or the words of a sandbox, ask for and the runtime specification has no words
// for: a value beside oci::Config, for those who have one (convert/ and `coop sandbox` make it). A container without
// extras pays nothing for them.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
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
  // Of an overlay: its upper and work directories lie in memory, where nobody else reaches them, and end with it.
  bool scratch_layers = false;
};

// What is made in the root file system between its mounts and is none, or none of the specification's.
struct RootEntry {
  enum class Kind {
    kDirectory,  // may be there already
    kSymlink,    // may be there already with the same target
    kFile,       // a new file
    kData,       // a file in memory, bound on `path`
    kMode,       // of what is there
  };
  Kind kind = Kind::kDirectory;
  std::size_t before_mount = 0;  // index in oci::Config::mounts; their number: after all of them
  std::string path;
  std::string target;  // kSymlink
  int fd = -1;         // kFile, kData: of the caller, who keeps it open; read to its end
  mode_t mode = 0755;
  bool readonly = false;  // kData
};

// A user namespace below the container's own, which maps one user and one group to root of that one: whoever may only
// map themselves gets mounts that need root (devpts) and a program that is not root.
struct InnerUser {
  uid_t uid = 0;
  gid_t gid = 0;
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
  Extras();
  Extras(const Extras&);
  Extras(Extras&&) noexcept;
  Extras& operator=(const Extras&);
  Extras& operator=(Extras&&) noexcept;
  ~Extras();

  std::vector<MountExtras> mounts;  // by ascending index
  bool loopback = false;            // of a new or joined network namespace; without it "lo" stays as it is
  std::vector<Interface> interfaces;
  std::vector<ExtraRoute> routes;
  DeviceNodes device_nodes = DeviceNodes::kStandard;
  bool exact_device_rules = false;  // the rules of the config and no others
  std::string pivot_dir;            // must be a directory of the root file system
  std::vector<RootEntry> entries;   // by ascending before_mount
  // The first of them that is a directory there is the program's, and its PWD; none is made. Empty: process.cwd.
  std::vector<std::string> working_directories;
  std::optional<InnerUser> inner_user;
  // Process 1 is the runtime's: it has the program as its child, passes signals on, collects orphans and ends with the
  // program, with its status. Needs a new PID namespace.
  bool init = false;
  // Of the caller, and open while process 1 of `init` is there; neither it nor the program uses them.
  std::vector<int> held_fds;
  // Each gets a lock for reading while the container runs; held by whoever creates it, and by process 1 of `init`.
  std::vector<std::string> lock_files;
  std::string parent_pid_namespace;  // the new PID namespace is one below it
  int inner_user_fd = -1;            // instead of inner_user: a user namespace of the caller's to go to
  std::string seccomp_filter;        // a filter as the kernel takes it (struct sock_filter); beside none of the config
};

}  // namespace cooper::container
