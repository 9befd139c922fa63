// From the flags of `exec` to a process: the container's own, changed as asked. Pure, except that env files are read.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/cooper/args.h"
#include "cli/cooper/run_request.h"
#include "image/store.h"
#include "spec/oci_runtime/types.h"

namespace cooper::cli {

struct ExecRequest {
  std::vector<std::string> args;
  std::vector<std::string> env;  // NAME=VALUE
  std::string working_dir, user;
  bool terminal = false, privileged = false;
};
Result<ExecRequest> exec_request(const Args& args, const Surroundings& around);

// A process of root has the container's bounding set, another user no capabilities, --privileged all; podman's rules.
oci::Process exec_process(const oci::Process& container, const ExecRequest& request,
                          const std::optional<image::ResolvedUser>& user);

}  // namespace cooper::cli
