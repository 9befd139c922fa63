#include "sys/tables.h"

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>

#include "base/chars.h"
#include "base/strings.h"
#include "sys/missing.h"

namespace cooper::sys {
namespace {

constexpr std::array<std::string_view, 41> kCapabilities{"CAP_CHOWN",
                                                         "CAP_DAC_OVERRIDE",
                                                         "CAP_DAC_READ_SEARCH",
                                                         "CAP_FOWNER",
                                                         "CAP_FSETID",
                                                         "CAP_KILL",
                                                         "CAP_SETGID",
                                                         "CAP_SETUID",
                                                         "CAP_SETPCAP",
                                                         "CAP_LINUX_IMMUTABLE",
                                                         "CAP_NET_BIND_SERVICE",
                                                         "CAP_NET_BROADCAST",
                                                         "CAP_NET_ADMIN",
                                                         "CAP_NET_RAW",
                                                         "CAP_IPC_LOCK",
                                                         "CAP_IPC_OWNER",
                                                         "CAP_SYS_MODULE",
                                                         "CAP_SYS_RAWIO",
                                                         "CAP_SYS_CHROOT",
                                                         "CAP_SYS_PTRACE",
                                                         "CAP_SYS_PACCT",
                                                         "CAP_SYS_ADMIN",
                                                         "CAP_SYS_BOOT",
                                                         "CAP_SYS_NICE",
                                                         "CAP_SYS_RESOURCE",
                                                         "CAP_SYS_TIME",
                                                         "CAP_SYS_TTY_CONFIG",
                                                         "CAP_MKNOD",
                                                         "CAP_LEASE",
                                                         "CAP_AUDIT_WRITE",
                                                         "CAP_AUDIT_CONTROL",
                                                         "CAP_SETFCAP",
                                                         "CAP_MAC_OVERRIDE",
                                                         "CAP_MAC_ADMIN",
                                                         "CAP_SYSLOG",
                                                         "CAP_WAKE_ALARM",
                                                         "CAP_BLOCK_SUSPEND",
                                                         "CAP_AUDIT_READ",
                                                         "CAP_PERFMON",
                                                         "CAP_BPF",
                                                         "CAP_CHECKPOINT_RESTORE"};

constexpr std::array<NamedNumber, 34> kSignals{{
    {"HUP", SIGHUP},       {"INT", SIGINT},   {"QUIT", SIGQUIT},   {"ILL", SIGILL},   {"TRAP", SIGTRAP},
    {"ABRT", SIGABRT},     {"BUS", SIGBUS},   {"FPE", SIGFPE},     {"KILL", SIGKILL}, {"USR1", SIGUSR1},
    {"SEGV", SIGSEGV},     {"USR2", SIGUSR2}, {"PIPE", SIGPIPE},   {"ALRM", SIGALRM}, {"TERM", SIGTERM},
    {"STKFLT", SIGSTKFLT}, {"CHLD", SIGCHLD}, {"CONT", SIGCONT},   {"STOP", SIGSTOP}, {"TSTP", SIGTSTP},
    {"TTIN", SIGTTIN},     {"TTOU", SIGTTOU}, {"URG", SIGURG},     {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ},
    {"VTALRM", SIGVTALRM}, {"PROF", SIGPROF}, {"WINCH", SIGWINCH}, {"IO", SIGIO},     {"PWR", SIGPWR},
    {"SYS", SIGSYS},       {"IOT", SIGIOT},   {"CLD", SIGCHLD},    {"POLL", SIGPOLL},
}};

constexpr std::array<NamedNumber, 16> kRlimits{{
    {"RLIMIT_CPU", RLIMIT_CPU},
    {"RLIMIT_FSIZE", RLIMIT_FSIZE},
    {"RLIMIT_DATA", RLIMIT_DATA},
    {"RLIMIT_STACK", RLIMIT_STACK},
    {"RLIMIT_CORE", RLIMIT_CORE},
    {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_NPROC", RLIMIT_NPROC},
    {"RLIMIT_NOFILE", RLIMIT_NOFILE},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
    {"RLIMIT_AS", RLIMIT_AS},
    {"RLIMIT_LOCKS", RLIMIT_LOCKS},
    {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
    {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
    {"RLIMIT_RTTIME", RLIMIT_RTTIME},
}};

constexpr std::array<NamespaceInfo, 8> kNamespaces{{
    {"user", "user", CLONE_NEWUSER},
    {"pid", "pid", CLONE_NEWPID},
    {"network", "net", CLONE_NEWNET},
    {"mount", "mnt", CLONE_NEWNS},
    {"ipc", "ipc", CLONE_NEWIPC},
    {"uts", "uts", CLONE_NEWUTS},
    {"cgroup", "cgroup", CLONE_NEWCGROUP},
    {"time", "time", CLONE_NEWTIME},
}};

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = to_upper(c);
  return out;
}

}  // namespace

std::span<const std::string_view> capability_names() {
  return kCapabilities;
}

std::optional<int> capability_from_name(std::string_view name) {
  std::string wanted = upper(name);
  if (!wanted.starts_with("CAP_")) wanted.insert(0, "CAP_");
  const auto* const found = std::ranges::find(kCapabilities, std::string_view(wanted));
  if (found == kCapabilities.end()) return std::nullopt;
  return static_cast<int>(found - kCapabilities.begin());
}

std::optional<int> signal_from_name(std::string_view text) {
  if (const auto number = parse_number<int>(text)) {
    if (*number >= 1 && *number <= 64) return number;
    return std::nullopt;
  }
  std::string name = upper(text);
  if (name.starts_with("SIG")) name.erase(0, 3);
  for (const auto& entry : kSignals) {
    if (entry.name == name) return entry.number;
  }
  const bool from_min = name.starts_with("RTMIN");
  if (!from_min && !name.starts_with("RTMAX")) return std::nullopt;
  const std::string_view rest = std::string_view(name).substr(5);
  int offset = 0;
  if (!rest.empty()) {
    if (rest[0] != (from_min ? '+' : '-')) return std::nullopt;
    const auto parsed = parse_number<unsigned>(rest.substr(1));
    if (!parsed || *parsed > 30) return std::nullopt;
    offset = static_cast<int>(*parsed);
  }
  return from_min ? SIGRTMIN + offset : SIGRTMAX - offset;
}

std::string signal_name(int number) {
  for (const auto& entry : kSignals) {
    if (entry.number == number) return "SIG" + std::string(entry.name);
  }
  if (number >= SIGRTMIN && number <= SIGRTMAX) return "SIGRTMIN+" + std::to_string(number - SIGRTMIN);
  return "signal " + std::to_string(number);
}

std::optional<int> rlimit_from_name(std::string_view name) {
  for (const auto& entry : kRlimits) {
    if (entry.name == name) return entry.number;
  }
  return std::nullopt;
}

std::string_view rlimit_name(int resource) {
  for (const auto& entry : kRlimits) {
    if (entry.number == resource) return entry.name;
  }
  return "RLIMIT_UNKNOWN";
}

std::span<const NamedNumber> rlimits() {
  return kRlimits;
}
std::span<const NamespaceInfo> namespaces() {
  return kNamespaces;
}

const NamespaceInfo* namespace_by_oci_name(std::string_view name) {
  for (const auto& entry : kNamespaces) {
    if (entry.oci_name == name) return &entry;
  }
  return nullptr;
}

}  // namespace cooper::sys
