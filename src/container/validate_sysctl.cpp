#include <algorithm>
#include <array>

#include "base/strings.h"
#include "container/validate_rules.h"

namespace cooper::container::rules {
namespace {

// Only these are per namespace; any other sysctl would change the host.
constexpr std::array<std::string_view, 8> kIpcSysctls{"kernel/msgmax", "kernel/msgmnb",         "kernel/msgmni",
                                                      "kernel/sem",    "kernel/shmall",         "kernel/shmmax",
                                                      "kernel/shmmni", "kernel/shm_rmid_forced"};

Status check_one(const oci::Config& config, const std::string& key, const std::string& pointer) {
  const std::string path = sysctl_path(key);
  if (path.empty()) return fail(pointer, quoted(key) + " is not a sysctl name");
  const auto need = [&](std::string_view type) -> Status {
    if (find_namespace(config, type) != nullptr) return {};
    return fail(pointer, "sysctl " + quoted(key) + " needs a " + std::string(type) +
                             " namespace: without one it would change the host");
  };
  if (std::find(kIpcSysctls.begin(), kIpcSysctls.end(), path) != kIpcSysctls.end() || path.starts_with("fs/mqueue/"))
    return need("ipc");
  if (path.starts_with("net/")) return need("network");
  if (path == "kernel/hostname" || path == "kernel/domainname") {
    const bool host = path == "kernel/hostname";
    if (!(host ? config.hostname : config.domainname).empty()) {
      return fail(pointer, "sysctl " + quoted(key) + " conflicts with /" + (host ? "hostname" : "domainname"));
    }
    return need("uts");
  }
  return fail(pointer, "sysctl " + quoted(key) + " is not in a namespace of the container and cannot be set");
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

}  // namespace cooper::container::rules
