// The parts of validate() that fill a file of their own, and what they share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "container/plan.h"
#include "spec/oci_runtime/types.h"

namespace cooper::container::rules {

// "config.json: <pointer>: <message>"; a pointer that begins with the name of a document is taken as it is.
Error fail(std::string_view pointer, std::string_view message, Errc code = Errc::kInvalidArgument);
// "/mounts" + "/3" + "/destination"
std::string at(std::string_view pointer, std::size_t index, std::string_view member);
// True when a component of the path is "..".
bool has_dotdot(std::string_view path);
// Neither empty nor overlapping ranges, and none beyond the largest id, as the kernel takes them.
Status check_mapping_list(const std::vector<oci::IdMapping>& mappings, std::string_view pointer);
// The namespace of that type, or nullptr when the container shares the caller's.
// Whether a file of /proc is one of those that views of resources (LXCFS and the like) may be bound over.
bool is_replaceable_in_proc(std::string_view destination);
const oci::Namespace* find_namespace(const oci::Config& config, std::string_view type);

Status check_mounts(const std::vector<oci::Mount>& mounts, const oci::Config& config);
Status check_sysctl(const oci::Config& config);
// Asks the kernel: none is set in a namespace that is joined and is the caller's.
Status check_sysctl_places(const oci::Config& config);

// "net.ipv4.conf.eth0/100.forwarding" or "net/ipv4/conf/eth0.100/forwarding" -> the path below /proc/sys. Empty when
// malformed. The first separator decides which of the two is meant (sysctl(8)).
std::string sysctl_path(std::string_view key);

// A path seen from "/": no "", "." or ".." components; relative paths start at "/"; ".." never leaves it.
std::string clean_path(std::string_view path);

}  // namespace cooper::container::rules
