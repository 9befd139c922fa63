// --security-opt: the words, and what they do to masked and read-only paths.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "stage1/seccomp_set.h"

namespace cooper::stage1 {

struct Security {
  enum class Seccomp { kDefault, kUnconfined, kFile };
  Seccomp seccomp = Seccomp::kDefault;
  std::string seccomp_file;               // with kFile
  std::optional<SeccompSet> seccomp_set;  // what is left of the default
  bool no_new_privileges = false;
  std::string apparmor_profile;     // empty: unconfined
  std::vector<std::string> mask;    // paths
  std::vector<std::string> unmask;  // paths or fnmatch patterns; "ALL"
  std::vector<std::string> proc_options;
};

// Words as podman takes them: seccomp=unconfined|FILE, (ours) seccomp-set=SET (seccomp_set.h),
// no-new-privileges[:true|false], apparmor=PROFILE|unconfined, mask=PATH[:PATH], unmask=ALL|PATTERN[:PATTERN],
// proc-opts=OPT[,OPT], systempaths=unconfined, label=disable. Both "key=value" and docker's "key:value" are taken.
// Errc::kInvalidArgument for unknown words, kUnsupported for SELinux labels.
Result<Security> parse_security(const std::vector<std::string>& words);

// Paths hidden from (or read-only in) an app that is not privileged: podman's lists.
const std::vector<std::string>& default_masked_paths();
const std::vector<std::string>& default_readonly_paths();

struct ProtectedPaths {
  std::vector<std::string> masked, readonly;
};
ProtectedPaths protected_paths(const Security& security, bool privileged);

}  // namespace cooper::stage1
