// CONTRACT. Configurations of one system in the words of another. Pure: nothing is read but the values given.
//
// A conversion says everything the target has words for, and lists the rest. libcontainer's configuration asks for
// things that the runtime specification has no words for; those of them that a container of ours can have all the same
// are in `extras` (container/extras.h), so that a container made from config and extras together has them.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "container/extras.h"
#include "spec/libcontainer/types.h"
#include "spec/oci_runtime/types.h"

namespace cooper::convert {

struct Lost {
  std::string pointer;     // of the member in the source
  std::string reason;      // one clause: "the runtime specification has no networks"
  bool in_extras = false;  // a container made here has it all the same
};

// What a container.json leaves to whoever runs it: the process.
struct ProcessWishes {
  std::vector<std::string> args = {"sh"};
  std::vector<std::string> env;
  std::string cwd = "/";
  std::uint32_t uid = 0, gid = 0;
  std::vector<std::uint32_t> groups;
  bool terminal = false;
  // Instead of the configuration's.
  std::vector<std::string> capabilities;
  bool own_capabilities = false;
};

struct OciResult {
  oci::Config config;
  container::Extras extras;
  bool no_pivot = false;
  int parent_death_signal = 0;
  std::vector<Lost> lost;
};
// `source` must be valid (libcontainer::validate()). Errc::kInvalidArgument, with the pointer, for what no kernel does.
// `systemd_cgroup`: cgroupsPath is slice:prefix:name.
Result<OciResult> to_oci(const libcontainer::Config& source, const ProcessWishes& process, bool systemd_cgroup = false);

struct LibcontainerResult {
  libcontainer::Config config;
  std::vector<Lost> lost;
};
// `bundle` is absolute: rootfs becomes absolute too.
Result<LibcontainerResult> to_libcontainer(const oci::Config& source, const std::string& bundle,
                                           libcontainer::Generation generation = libcontainer::Generation::kNamed);

// What a conversion has made, by the rules of its format. Errc::kInvalidArgument with the pointer of the member in the
// source, where the message can tell it.
Status check(const OciResult& made);
Status check(const LibcontainerResult& made);
// A source that no start would take. `bundle` is absolute.
Status check_source(const oci::Config& source, const std::string& bundle);

// Limits alone, for live changes.
oci::Resources resources_of(const libcontainer::Cgroup& cgroup);

// One line for each, for people; "" for none.
std::string report(const std::vector<Lost>& lost);

}  // namespace cooper::convert
