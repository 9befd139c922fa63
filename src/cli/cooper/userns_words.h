// The words of a pod's user namespace: podman's --userns, --uidmap, --gidmap, --subuidname and --subgidname, and rkt's
// --private-users.
#pragma once

#include <string_view>

#include "base/error.h"
#include "cli/cooper/args.h"
#include "pod/pod.h"

namespace cooper::cli {

// `otherwise`: of the configuration, as --userns takes it; for command lines that do not say. Errc::kInvalidArgument:
// a wrong value, or flags that exclude each other. Errc::kUnsupported: a kind of namespace that there is elsewhere.
Result<pod::UserNamespace> user_namespace_flags(const Args& args, std::string_view otherwise);

// host, auto, auto:size=N
Result<pod::UserNamespace> parse_userns(std::string_view text);
// CONTAINER:HOST[:COUNT]
Result<oci::IdMapping> parse_id_mapping(std::string_view flag, std::string_view text);

}  // namespace cooper::cli
