#include "stage1/capabilities.h"

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "sys/tables.h"

namespace cooper::stage1 {
namespace {

using NameSet = std::set<std::string>;

struct NamedCaps {
  bool all = false;
  NameSet names;
};

Result<NamedCaps> parse_names(const std::vector<std::string>& texts) {
  NamedCaps out;
  for (const std::string& text : texts) {
    const std::string word = to_lower(text);
    if (word == "all" || word == "cap_all") {
      out.all = true;
      continue;
    }
    const auto number = sys::capability_from_name(text);
    if (!number) {
      return Error(Errc::kInvalidArgument, "unknown capability " + quoted(text))
          .with_hint("capabilities(7) lists the names");
    }
    out.names.emplace(sys::capability_names()[static_cast<std::size_t>(*number)]);
  }
  return out;
}

NameSet names_of(sys::CapMask mask) {
  NameSet out;
  const auto names = sys::capability_names();
  for (std::size_t i = 0; i < names.size(); ++i) {
    if ((mask >> i & 1) != 0) out.emplace(names[i]);
  }
  return out;
}

std::vector<std::string> to_vector(const NameSet& names) {
  return {names.begin(), names.end()};
}

}  // namespace

const std::vector<std::string>& default_capabilities() {
  static const std::vector<std::string> names{"CAP_CHOWN",   "CAP_DAC_OVERRIDE",     "CAP_FOWNER",    "CAP_FSETID",
                                              "CAP_KILL",    "CAP_NET_BIND_SERVICE", "CAP_SETFCAP",   "CAP_SETGID",
                                              "CAP_SETPCAP", "CAP_SETUID",           "CAP_SYS_CHROOT"};
  return names;
}

Result<oci::Capabilities> resolve_capabilities(const CapabilityRequest& request, sys::CapMask available) {
  ASSIGN_OR_RETURN(const NamedCaps add, parse_names(request.add));
  ASSIGN_OR_RETURN(const NamedCaps drop, parse_names(request.drop));
  for (const std::string& name : add.names) {
    if (drop.names.contains(name))
      return Error(Errc::kInvalidArgument, "capability " + quoted(name) + " is both added and dropped");
  }
  if (add.all && drop.all) return Error(Errc::kInvalidArgument, "all capabilities are both added and dropped");

  NameSet granted;
  if (request.privileged || add.all) {
    granted = names_of(available);
  } else if (!drop.all) {
    granted.insert(default_capabilities().begin(), default_capabilities().end());
  }
  granted.insert(add.names.begin(), add.names.end());
  if (drop.all) granted = add.names;
  for (const std::string& name : drop.names) granted.erase(name);

  oci::Capabilities sets;
  sets.bounding = to_vector(granted);
  if (request.root) {
    sets.effective = sets.permitted = sets.bounding;
  } else {
    const std::vector<std::string> named = to_vector(add.all ? granted : add.names);
    sets.effective = sets.permitted = sets.inheritable = sets.ambient = named;
  }
  return sets;
}

}  // namespace cooper::stage1
