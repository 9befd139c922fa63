// CONTRACT. Seccomp: an OCI profile becomes a BPF program.
//
// The compiler is ours: per architecture a binary search over syscall numbers (cost of a call log2 n), rules with
// argument comparisons in profile order unless one is for the call whatever its arguments are, an ENOSYS answer for
// numbers newer than the profile knows (runc's rule: above the highest number in the profile, unless the default action
// lets calls through), rules that say what the default says and unknown names ignored.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "spec/oci_runtime/types.h"

namespace cooper::seccomp {

struct Program {
  std::vector<struct sock_filter> instructions;  // ready for seccomp(SECCOMP_SET_MODE_FILTER)
  std::uint32_t flags = 0;                       // SECCOMP_FILTER_FLAG_*
  bool needs_listener = false;                   // an SCMP_ACT_NOTIFY rule exists
};

// Which of a profile's architectures get a part of the filter: those whose programs can run here, or (to look at and
// to compare) each that has a table of numbers.
enum class Sections { kOfThisMachine, kAll };
// Pure. Errc::kInvalidArgument for unknown actions, operators, architectures, argument indexes; Errc::kLimit beyond
// BPF_MAXINSNS.
Result<Program> compile(const oci::Seccomp& profile, Sections sections = Sections::kOfThisMachine);
// Names in the profile of architectures whose programs cannot run here: the kernel reports none of them, so the filter
// says nothing about them. Errc::kInvalidArgument as compile().
Result<std::vector<std::string>> architectures_elsewhere(const oci::Seccomp& profile);

// A filter that somebody else compiled: struct sock_filter one after the other, as seccomp_export_bpf(3) writes them.
// Errc::kInvalidArgument for what cannot be one; the kernel checks the instructions when it is loaded.
Result<Program> from_instructions(std::string_view bytes);

// Zone X (no allocation, async-signal-safe): loads the filter into the calling thread. Returns 0 or -errno; with a
// listener the notify fd (>= 0).
int load(const struct sock_filter* instructions, unsigned short count, std::uint32_t flags);

// The call of that number on this machine, and the other way; empty and nullopt for what no known kernel has.
std::string_view syscall_name(std::uint32_t number);
std::optional<std::uint32_t> syscall_number(std::string_view name);

// What `features` reports: names this build and kernel support; architectures are those that can occur.
std::vector<std::string> supported_actions();
std::vector<std::string> supported_operators();
std::vector<std::string> supported_architectures();
std::vector<std::string> known_flags();
std::vector<std::string> supported_flags();

// The default profile of `cooper run`: as strict as podman's (allow list, EPERM default, ENOSYS for unknown newer
// calls, clone/unshare/setns of namespaces refused without CAP_SYS_ADMIN, ...), depending on the capabilities granted.
oci::Seccomp default_profile(const std::vector<std::string>& capabilities);

}  // namespace cooper::seccomp
