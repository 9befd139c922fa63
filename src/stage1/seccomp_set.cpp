#include "stage1/seccomp_set.h"

#include <string.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <span>

#include "base/strings.h"

namespace cooper::stage1 {
namespace {

constexpr std::string_view kErrno = "SCMP_ACT_ERRNO";
constexpr std::string_view kKill = "SCMP_ACT_KILL_PROCESS";
constexpr int kLastErrno = 133;

// Sets that stand for a default profile: as much as ours, whoever wrote the set.
constexpr std::array<std::string_view, 3> kEverything = {"@appc.io/all", "@docker/default-whitelist",
                                                         "@rkt/default-whitelist"};
constexpr std::string_view kNothing = "@appc.io/empty";
constexpr std::array<std::string_view, 2> kBlacklists = {"@docker/default-blacklist", "@rkt/default-blacklist"};
constexpr std::array<std::string_view, 50> kBlacklist = {"_sysctl",
                                                         "acct",
                                                         "add_key",
                                                         "adjtimex",
                                                         "bpf",
                                                         "clock_adjtime",
                                                         "clock_settime",
                                                         "create_module",
                                                         "delete_module",
                                                         "finit_module",
                                                         "get_kernel_syms",
                                                         "get_mempolicy",
                                                         "init_module",
                                                         "ioperm",
                                                         "iopl",
                                                         "kcmp",
                                                         "kexec_file_load",
                                                         "kexec_load",
                                                         "keyctl",
                                                         "lookup_dcookie",
                                                         "mbind",
                                                         "mount",
                                                         "move_pages",
                                                         "name_to_handle_at",
                                                         "nfsservctl",
                                                         "open_by_handle_at",
                                                         "perf_event_open",
                                                         "pivot_root",
                                                         "process_vm_readv",
                                                         "process_vm_writev",
                                                         "ptrace",
                                                         "query_module",
                                                         "quotactl",
                                                         "reboot",
                                                         "request_key",
                                                         "set_mempolicy",
                                                         "setns",
                                                         "settimeofday",
                                                         "stime",
                                                         "swapoff",
                                                         "swapon",
                                                         "sysfs",
                                                         "umount",
                                                         "umount2",
                                                         "unshare",
                                                         "uselib",
                                                         "userfaultfd",
                                                         "ustat",
                                                         "vm86",
                                                         "vm86old"};

// Without them no program begins, ends, or comes back from a signal; systemd grants the same to its services.
constexpr std::array<std::string_view, 16> kAlways = {
    "execve",       "exit",      "exit_group",      "getrlimit",
    "rt_sigreturn", "sigreturn", "restart_syscall", "clock_getres",
    "time",         "pause",     "clock_gettime",   "clock_nanosleep",
    "gettimeofday", "nanosleep", "clock_gettime64", "clock_nanosleep_time64"};

using Names = std::set<std::string, std::less<>>;

bool is_one_of(std::string_view word, std::span<const std::string_view> words) {
  return std::ranges::find(words, word) != words.end();
}

std::optional<std::uint32_t> errno_of(std::string_view name) {
  for (int number = 1; number <= kLastErrno; ++number) {
    const char* known = ::strerrorname_np(number);
    if (known != nullptr && name == known) return static_cast<std::uint32_t>(number);
  }
  return std::nullopt;
}

Names expand(const std::vector<std::string>& words) {
  Names out;
  for (const std::string& word : words) {
    if (is_one_of(word, kBlacklists)) {
      out.insert(kBlacklist.begin(), kBlacklist.end());
    } else if (!word.starts_with('@')) {
      out.insert(word);
    }
  }
  return out;
}

oci::SeccompSyscall refusal(const Names& names, const SeccompSet& set) {
  oci::SeccompSyscall out;
  out.names.assign(names.begin(), names.end());
  out.action = set.errno_ret ? kErrno : kKill;
  out.errno_ret = set.errno_ret;
  return out;
}

void keep(oci::Seccomp& profile, const auto& wanted) {
  for (oci::SeccompSyscall& rule : profile.syscalls)
    std::erase_if(rule.names, [&](const std::string& name) { return !wanted(name); });
  std::erase_if(profile.syscalls, [](const oci::SeccompSyscall& rule) { return rule.names.empty(); });
}

oci::Seccomp retain(oci::Seccomp profile, const SeccompSet& set) {
  Names names = expand(set.names);
  names.insert(kAlways.begin(), kAlways.end());
  keep(profile, [&](const std::string& name) { return names.contains(name); });
  // What the set has and the profile refuses is refused as the profile does it.
  Names refused = names;
  for (const oci::SeccompSyscall& rule : profile.syscalls) {
    for (const std::string& name : rule.names) refused.erase(name);
  }
  if (!refused.empty()) {
    oci::SeccompSyscall rule;
    rule.names.assign(refused.begin(), refused.end());
    rule.action = profile.default_action;
    rule.errno_ret = profile.default_errno_ret;
    profile.syscalls.push_back(std::move(rule));
  }
  profile.default_action = set.errno_ret ? kErrno : kKill;
  profile.default_errno_ret = set.errno_ret;
  return profile;
}

oci::Seccomp remove(oci::Seccomp profile, const SeccompSet& set) {
  const Names names = expand(set.names);
  if (names.empty()) return profile;
  keep(profile, [&](const std::string& name) { return !names.contains(name); });
  profile.syscalls.push_back(refusal(names, set));
  return profile;
}

}  // namespace

Result<SeccompSet> parse_seccomp_set(std::string_view text) {
  SeccompSet out;
  const auto words = split(text, ',');
  if (words.empty() || (words.front() != "retain" && words.front() != "remove"))
    return Error(Errc::kInvalidArgument, "a set of system calls begins with retain or remove, not " + quoted(text));
  out.retain = words.front() == "retain";
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::string_view word = words[i];
    if (word.starts_with("errno=")) {
      out.errno_ret = errno_of(word.substr(6));
      if (!out.errno_ret)
        return Error(Errc::kInvalidArgument, quoted(word.substr(6)) + " is not the name of an error, as EPERM is");
      continue;
    }
    if (word.empty()) continue;
    const bool known =
        !word.starts_with('@') || word == kNothing || is_one_of(word, kEverything) || is_one_of(word, kBlacklists);
    if (!known)
      return Error(Errc::kUnsupported, "the group of system calls " + quoted(word) + " is not known here")
          .with_hint("name a profile: --security-opt seccomp=FILE");
    out.names.emplace_back(word);
  }
  if (out.names.empty()) return Error(Errc::kInvalidArgument, "a set of system calls is empty");
  return out;
}

oci::Seccomp apply_seccomp_set(oci::Seccomp profile, const SeccompSet& set) {
  const bool everything =
      std::ranges::any_of(set.names, [](const std::string& word) { return is_one_of(word, kEverything); });
  if (set.retain) return everything ? std::move(profile) : retain(std::move(profile), set);
  return remove(std::move(profile), set);
}

}  // namespace cooper::stage1
