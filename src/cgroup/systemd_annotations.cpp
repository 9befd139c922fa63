// Annotations "org.systemd.property.NAME".
#include <cmath>

#include "base/chars.h"
#include "base/strings.h"
#include "cgroup/systemd.h"

namespace cooper::cgroup {
namespace {

constexpr std::string_view kPrefix = "org.systemd.property.";
constexpr double kSecondUs = 1e6;

bool is_name(std::string_view name) {
  return name.size() >= 3 && std::ranges::all_of(name, is_letter);
}

// What unit files call TimeoutStopSec is TimeoutStopUSec on the bus, in microseconds.
Result<dbus::Value> microseconds(const dbus::Value& value) {
  const auto bad = [] { return Error(Errc::kInvalidArgument, "not a number of seconds, zero or more", EINVAL); };
  double seconds = 0;
  if (value.type == "d") {
    seconds = std::get<double>(value.data);
  } else if (value.type == "n" || value.type == "i" || value.type == "x") {
    seconds = static_cast<double>(static_cast<std::int64_t>(value.number()));
  } else if (value.type == "y" || value.type == "q" || value.type == "u" || value.type == "t") {
    if (value.number() == UINT64_MAX) return value;  // infinity
    seconds = static_cast<double>(value.number());
  } else {
    return bad();
  }
  const double us = seconds * kSecondUs;
  if (!(us >= 0) || us >= 9.2e18) return bad();
  return dbus::Value::u64(static_cast<std::uint64_t>(std::llround(us)));
}

Result<UnitProperty> property(std::string_view name, std::string_view text) {
  if (!is_name(name))
    return Error(Errc::kInvalidArgument, "not the name of a property: letters only, three or more", EINVAL);
  ASSIGN_OR_RETURN(dbus::Value value, dbus::parse_text(text));
  std::string real(name);
  if (name.ends_with("Sec") && !name.ends_with("USec")) {
    ASSIGN_OR_RETURN(value, microseconds(value));
    real = std::string(name.substr(0, name.size() - 3)) + "USec";
  }
  return UnitProperty{std::move(real), std::move(value)};
}

}  // namespace

Result<std::vector<UnitProperty>> annotation_properties(const std::map<std::string, std::string>& annotations) {
  std::vector<UnitProperty> out;
  for (auto entry = annotations.lower_bound(std::string(kPrefix)); entry != annotations.end(); ++entry) {
    if (!entry->first.starts_with(kPrefix)) break;
    auto made = property(std::string_view(entry->first).substr(kPrefix.size()), entry->second);
    if (!made.ok()) {
      return std::move(made).error().with("annotation " + quoted(entry->first) + " with value " +
                                          quoted(entry->second));
    }
    out.push_back(std::move(*made));
  }
  return out;
}

}  // namespace cooper::cgroup
