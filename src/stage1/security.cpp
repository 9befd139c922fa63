#include "stage1/security.h"

#include <fnmatch.h>

#include <algorithm>

#include "base/strings.h"

namespace cooper::stage1 {
namespace {

Result<bool> parse_switch(std::string_view key, std::string_view value) {
  if (value.empty() || value == "true") return true;
  if (value == "false") return false;
  return Error(Errc::kInvalidArgument, "security option " + quoted(key) + " takes true or false, not " + quoted(value));
}

Status append_paths(std::string_view key, std::string_view value, std::vector<std::string>& out) {
  for (const std::string_view path : split(value, ':')) {
    if (path.empty() || (path[0] != '/' && !(key == "unmask" && path == "ALL"))) {
      return Error(Errc::kInvalidArgument,
                   "security option " + quoted(key) + " takes absolute paths, not " + quoted(path));
    }
    out.emplace_back(path);
  }
  return {};
}

Status apply_word(std::string_view key, std::string_view value, Security& out) {
  if (key == "seccomp") {
    if (value.empty()) return Error(Errc::kInvalidArgument, "security option 'seccomp' needs a file or 'unconfined'");
    out.seccomp = value == "unconfined" ? Security::Seccomp::kUnconfined : Security::Seccomp::kFile;
    if (out.seccomp == Security::Seccomp::kFile) out.seccomp_file = value;
    return {};
  }
  if (key == "seccomp-set") {
    ASSIGN_OR_RETURN(out.seccomp_set, parse_seccomp_set(value));
    return {};
  }
  if (key == "no-new-privileges") {
    ASSIGN_OR_RETURN(out.no_new_privileges, parse_switch(key, value));
    return {};
  }
  if (key == "apparmor") {
    out.apparmor_profile = value == "unconfined" ? "" : std::string(value);
    return {};
  }
  if (key == "mask") return append_paths(key, value, out.mask);
  if (key == "unmask") return append_paths(key, value, out.unmask);
  if (key == "proc-opts") {
    for (const std::string_view option : split(value, ',')) {
      if (!option.empty()) out.proc_options.emplace_back(option);
    }
    return {};
  }
  if (key == "systempaths" && value == "unconfined") {
    out.unmask.emplace_back("ALL");
    return {};
  }
  if (key == "label") {
    if (value == "disable") return {};
    return Error(Errc::kUnsupported, "security option 'label=" + std::string(value) + "' is not supported")
        .with_hint("SELinux labels are not set; 'label=disable' is accepted");
  }
  return Error(Errc::kInvalidArgument, "unknown security option " + quoted(key))
      .with_hint(
          "known are seccomp, seccomp-set, no-new-privileges, apparmor, mask, unmask, proc-opts, systempaths and "
          "label");
}

bool unmasked(const std::string& path, const std::vector<std::string>& patterns) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
    return pattern == "ALL" || ::fnmatch(pattern.c_str(), path.c_str(), FNM_PATHNAME) == 0;
  });
}

}  // namespace

Result<Security> parse_security(const std::vector<std::string>& words) {
  Security out;
  for (const std::string& word : words) {
    const std::size_t at = word.find_first_of("=:");
    const std::string_view view = word;
    const std::string_view key = view.substr(0, at);
    const std::string_view value = at == std::string::npos ? std::string_view() : view.substr(at + 1);
    RETURN_IF_ERROR(apply_word(key, value, out));
  }
  return out;
}

const std::vector<std::string>& default_masked_paths() {
  static const std::vector<std::string> paths{"/proc/acpi",          "/proc/kcore",      "/proc/keys",
                                              "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
                                              "/proc/sched_debug",   "/proc/scsi",       "/sys/firmware",
                                              "/sys/fs/selinux",     "/sys/dev/block"};
  return paths;
}

const std::vector<std::string>& default_readonly_paths() {
  static const std::vector<std::string> paths{"/proc/asound", "/proc/bus", "/proc/fs",
                                              "/proc/irq",    "/proc/sys", "/proc/sysrq-trigger"};
  return paths;
}

ProtectedPaths protected_paths(const Security& security, bool privileged) {
  ProtectedPaths out;
  if (!privileged) {
    for (const std::string& path : default_masked_paths()) {
      if (!unmasked(path, security.unmask)) out.masked.push_back(path);
    }
    for (const std::string& path : default_readonly_paths()) {
      if (!unmasked(path, security.unmask)) out.readonly.push_back(path);
    }
  }
  for (const std::string& path : security.mask) {
    if (std::find(out.masked.begin(), out.masked.end(), path) == out.masked.end()) out.masked.push_back(path);
  }
  return out;
}

}  // namespace cooper::stage1
