// CONTRACT. Cgroups managed by systemd: what a configuration means in units and properties. Pure; dbus/systemd.h asks
// for it. A container gets a transient scope below a slice; the values systemd knows are given to it, because it would
// write its own otherwise, and all values are written through cgroupfs afterwards.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cgroup/cgroup.h"
#include "dbus/systemd.h"
#include "spec/oci_runtime/types.h"

namespace cooper::cgroup {

struct UnitName {
  std::string slice;  // "system.slice"; the parent
  std::string unit;   // "coop-ID.scope", or a slice
  // Path below the manager's own group: "/system.slice/coop-ID.scope".
  std::string path;
  bool is_slice() const { return unit.ends_with(".slice"); }
  bool operator==(const UnitName&) const = default;
};
// cgroupsPath "slice:prefix:name" (empty: the defaults, prefix "coop" and the id as name). An empty slice is
// system.slice, or user.slice with the user's manager; a name that ends in ".slice" is the unit itself.
// Errc::kInvalidArgument.
Result<UnitName> parse_unit_name(std::string_view cgroups_path, std::string_view id, dbus::Bus bus);
// "a-b.slice" -> "/a.slice/a-b.slice"; "-.slice" -> "".
Result<std::string> expand_slice(std::string_view slice);

// A property, and the first version of systemd that has it: older ones refuse the whole request.
struct UnitProperty {
  std::string name;
  dbus::Value value;
  int since = 0;
  bool operator==(const UnitProperty&) const = default;
};
// Those a manager of this version takes.
std::vector<dbus::Property> for_version(const std::vector<UnitProperty>& properties, int version);
// The least version that matters to the list; 0: any.
int newest_needed(const std::vector<UnitProperty>& properties);

enum class Occasion { kCreate, kUpdate };

// What a new unit is, apart from its limits; PIDs are added by who has them.
std::vector<UnitProperty> unit_properties(const UnitName& name, std::string_view id, Tree tree);
// Limits, and device rules; an update without any leaves those that are there. Errc::kInvalidArgument for values no
// manager takes.
Result<std::vector<UnitProperty>> resource_properties(const oci::Resources& resources, Tree tree, Occasion occasion);
// Annotations "org.systemd.property.NAME" with a value in GVariant's text form. NAME "…Sec" with a number of seconds is
// sent as "…USec". Errc::kInvalidArgument names the annotation.
Result<std::vector<UnitProperty>> annotation_properties(const std::map<std::string, std::string>& annotations);

// systemd keeps quotas as whole percents of a processor: the quota rounded up to what it will write, so that both
// writers agree.
void round_quota(oci::Resources& resources);
// "0-2,5" -> a bit for each, lowest first: {0x27}.
Result<std::vector<std::uint8_t>> range_bits(std::string_view list);

}  // namespace cooper::cgroup
