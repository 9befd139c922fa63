// What the members of a configuration mean together, as far as it can be decided without the kernel.
#pragma once

#include "base/error.h"
#include "spec/libcontainer/types.h"

namespace cooper::spec::libcontainer {

// Errc::kInvalidArgument with the JSON pointer of the offending member.
Status validate(const Config& config);

// "0x100001" or "1048577".
std::optional<std::uint32_t> parse_class_id(std::string_view text);

// A cgroup may be checked alone (live changes). Pointers begin with "/cgroups".
Status validate_cgroup(const Cgroup& cgroup);

}  // namespace cooper::spec::libcontainer
