// Device rules as systemd writes them: DevicePolicy and DeviceAllow know what is allowed, not what is denied.
#include <algorithm>

#include "base/strings.h"
#include "cgroup/internal/systemd_devices.h"
#include "log/log.h"

namespace cooper::cgroup {
namespace {

constexpr std::string_view kAccess = "rwm";

// One allowed device or class of devices; -1 is any.
struct Allowed {
  char type = 'c';
  std::int64_t major = -1, minor = -1;
  std::string access;  // letters of kAccess in its order
  bool same_devices(const Allowed& other) const {
    return type == other.type && major == other.major && minor == other.minor;
  }
  bool covers(const Allowed& other) const {
    return type == other.type && (major == -1 || major == other.major) && (minor == -1 || minor == other.minor);
  }
};

std::string canonical(std::string_view access) {
  std::string out;
  for (const char c : kAccess) {
    if (access.empty() || access.find(c) != std::string_view::npos) out += c;
  }
  return out;
}

std::vector<Allowed> parts_of(const oci::DeviceRule& rule) {
  std::vector<Allowed> out;
  for (const char type : {'b', 'c'}) {
    if (!rule.type.empty() && rule.type != "a" && rule.type[0] != type && !(type == 'c' && rule.type == "u")) continue;
    out.push_back({type, rule.major.value_or(-1), rule.minor.value_or(-1), canonical(rule.access)});
  }
  return out;
}

bool is_everything(const oci::DeviceRule& rule) {
  return (rule.type.empty() || rule.type == "a") && rule.major.value_or(-1) < 0 && rule.minor.value_or(-1) < 0 &&
         canonical(rule.access).size() == kAccess.size();
}

void allow(std::vector<Allowed>& list, const Allowed& wanted) {
  for (Allowed& entry : list) {
    if (!entry.same_devices(wanted)) continue;
    entry.access = canonical(entry.access + wanted.access);
    return;
  }
  list.push_back(wanted);
}

void deny(std::vector<Allowed>& list, const Allowed& unwanted) {
  for (Allowed& entry : list) {
    if (unwanted.covers(entry)) {
      std::erase_if(entry.access, [&](char c) { return unwanted.access.find(c) != std::string::npos; });
    } else if (entry.covers(unwanted)) {
      // Our own rules, which are in force as well, do.
      log::debug("systemd cannot refuse a device of a class it allows");
    }
  }
  std::erase_if(list, [](const Allowed& entry) { return entry.access.empty(); });
}

// The way DeviceAllow names it; "" when it cannot.
std::string device_name(const Allowed& entry) {
  const std::string word = entry.type == 'b' ? "block" : "char";
  if (entry.major < 0) return entry.minor < 0 ? word + "-*" : "";
  if (entry.minor < 0) return word + "-" + std::to_string(entry.major);
  return "/dev/" + word + "/" + std::to_string(entry.major) + ":" + std::to_string(entry.minor);
}

dbus::Value entries(const std::vector<Allowed>& list) {
  std::vector<dbus::Value> out;
  for (const Allowed& entry : list) {
    const std::string name = device_name(entry);
    if (name.empty()) {
      log::warning("systemd cannot allow devices by their minor number alone: " + std::to_string(entry.minor));
      continue;
    }
    out.push_back(dbus::Value::structure({dbus::Value::string(name), dbus::Value::string(entry.access)}));
  }
  return dbus::Value::array("(ss)", std::move(out));
}

}  // namespace

std::vector<UnitProperty> device_properties(const std::vector<oci::DeviceRule>& rules) {
  // Allowed until a rule denies everything: what was allowed one by one is then all there is.
  bool open = true;
  std::vector<Allowed> list;
  for (const oci::DeviceRule& rule : rules) {
    if (is_everything(rule)) {
      open = rule.allow;
      list.clear();
      continue;
    }
    for (const Allowed& part : parts_of(rule)) rule.allow ? allow(list, part) : deny(list, part);
  }
  // Empty first: a list in a property is added to what is there. The policy comes before the entries, so that no
  // moment exists in which a device in use is refused for want of its entry after a reload.
  std::vector<UnitProperty> out;
  out.push_back({"DeviceAllow", dbus::Value::array("(ss)", {})});
  out.push_back({"DevicePolicy", dbus::Value::string(open ? "auto" : "strict")});
  if (!open) out.push_back({"DeviceAllow", entries(list)});
  return out;
}

}  // namespace cooper::cgroup
