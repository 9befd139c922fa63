// What `coop sandbox` runs: the configuration and the extras of the start, out of its words and what it was told of the
// host. Pure, but for the questions in SandboxHost.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/coop/sandbox_options.h"
#include "container/extras.h"
#include "container/plan.h"
#include "spec/oci_runtime/types.h"

namespace cooper::cli::coop {

struct SandboxHost {
  uid_t uid = 0;
  gid_t gid = 0;
  bool privileged = false;  // may make namespaces and mounts without a user namespace
  std::string working_directory;
  std::vector<std::string> environment;
  std::vector<std::string> capabilities;      // of the caller
  std::vector<std::string> all_capabilities;  // of the kernel
  bool has_user_namespaces = true, has_cgroup_namespaces = true;
  // errno of a look at the path, 0: it is there.
  std::function<int(const std::string& path)> look;
  // Without symbolic links; the path itself when that cannot be had.
  std::function<std::string(const std::string& path)> resolve;
};

struct Sandbox {
  oci::Config config;
  container::Extras extras;
  std::optional<container::MountRoot> root;  // instead of config.root.path
  std::vector<std::string> words;            // of each mount of the config: what asked for it
};
Result<Sandbox> make_sandbox(const SandboxOptions& options, const std::vector<std::string>& command,
                             const SandboxHost& host);

// A path as an option of overlay: the characters that end it there are escaped.
std::string overlay_path(std::string_view path, bool in_list);

// An error about the configuration, which the user has not written, in the words that they have.
Error in_words_of(Error error, const Sandbox& sandbox);

}  // namespace cooper::cli::coop
