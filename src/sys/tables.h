// Name tables of the kernel's words: capabilities, signals, resource limits, namespaces. Both directions come from one
// array.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace cooper::sys {

struct NamedNumber {
  std::string_view name;
  int number;
};

// "CAP_CHOWN" ... in kernel order: index == number.
std::span<const std::string_view> capability_names();
// Accepts "CAP_SYS_ADMIN" and "sys_admin" in any case.
std::optional<int> capability_from_name(std::string_view name);

// Accepts "SIGTERM", "term", "15", "RTMIN+3", "RTMAX-1"; number range 1..64. 0 is not a signal.
std::optional<int> signal_from_name(std::string_view text);
std::string signal_name(int number);  // "SIGTERM", "SIGRTMIN+3"

// "RLIMIT_NOFILE" (exactly).
std::optional<int> rlimit_from_name(std::string_view name);
std::string_view rlimit_name(int resource);
std::span<const NamedNumber> rlimits();

// OCI namespace types: pid network mount ipc uts user cgroup time -> CLONE_NEW*.
struct NamespaceInfo {
  std::string_view oci_name;
  std::string_view proc_name;  // in /proc/PID/ns
  int clone_flag;
};
std::span<const NamespaceInfo> namespaces();
const NamespaceInfo* namespace_by_oci_name(std::string_view name);

}  // namespace cooper::sys
