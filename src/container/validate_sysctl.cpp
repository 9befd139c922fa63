#include <algorithm>
#include <array>

#include "base/strings.h"
#include "container/validate_rules.h"
#include "sys/file.h"
#include "sys/tables.h"

namespace cooper::container::rules {
namespace {

// Only these are per namespace; any other sysctl would change the host.
constexpr std::array<std::string_view, 8> kIpcSysctls{"kernel/msgmax", "kernel/msgmnb",         "kernel/msgmni",
                                                      "kernel/sem",    "kernel/shmall",         "kernel/shmmax",
                                                      "kernel/shmmni", "kernel/shm_rmid_forced"};

// The namespace that the sysctl is of; nullptr: of none.
const char* namespace_of(std::string_view path) {
  if (std::find(kIpcSysctls.begin(), kIpcSysctls.end(), path) != kIpcSysctls.end() || path.starts_with("fs/mqueue/"))
    return "ipc";
  if (path.starts_with("net/")) return "network";
  if (path == "kernel/hostname" || path == "kernel/domainname") return "uts";
  return nullptr;
}

bool is_own_namespace(const oci::Namespace& ns) {
  const auto* kind = sys::namespace_by_oci_name(ns.type);
  if (ns.path.empty() || kind == nullptr) return false;
  const auto own = sys::fstatat(sys::kCwd, "/proc/self/ns/" + std::string(kind->proc_name), 0);
  const auto joined = sys::fstatat(sys::kCwd, ns.path, 0);
  return own.ok() && joined.ok() && own->st_dev == joined->st_dev && own->st_ino == joined->st_ino;
}

Status check_one(const oci::Config& config, const std::string& key, const std::string& pointer) {
  const std::string path = sysctl_path(key);
  if (path.empty()) return fail(pointer, quoted(key) + " is not a sysctl name");
  const char* type = namespace_of(path);
  if (type == nullptr)
    return fail(pointer, "sysctl " + quoted(key) + " is not in a namespace of the container and cannot be set");
  if ((path == "kernel/hostname" && !config.hostname.empty()) ||
      (path == "kernel/domainname" && !config.domainname.empty()))
    return fail(pointer, "sysctl " + quoted(key) + " conflicts with /" + path.substr(sizeof "kernel/" - 1));
  if (find_namespace(config, type) != nullptr) return {};
  return fail(pointer, "sysctl " + quoted(key) + " needs " + (type == std::string_view("ipc") ? "an " : "a ") + type +
                           " namespace: without one it would change the host");
}

std::string escape_pointer(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += '?';
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

std::string sysctl_path(std::string_view key) {
  const std::size_t first = key.find_first_of("./");
  if (first == std::string_view::npos) return {};
  std::string path(key);
  if (key[first] == '.') {
    for (char& c : path) c = c == '.' ? '/' : c == '/' ? '.' : c;
  }
  for (const std::string_view part : split(path, '/')) {
    if (part.empty() || part == "." || part == "..") return {};
  }
  return path;
}

Status check_sysctl(const oci::Config& config) {
  for (const auto& [key, value] : config.linux->sysctl) {
    RETURN_IF_ERROR(check_one(config, key, "/linux/sysctl/" + escape_pointer(key)));
  }
  return {};
}

Status check_sysctl_places(const oci::Config& config) {
  if (!config.linux) return {};
  for (const auto& [key, value] : config.linux->sysctl) {
    const char* type = namespace_of(sysctl_path(key));
    const oci::Namespace* ns = type == nullptr ? nullptr : find_namespace(config, type);
    if (ns == nullptr || !is_own_namespace(*ns)) continue;
    return fail("/linux/sysctl/" + escape_pointer(key), "sysctl " + quoted(key) + " would change the host: the " +
                                                            std::string(type) + " namespace that is joined is its own");
  }
  return {};
}

}  // namespace cooper::container::rules
