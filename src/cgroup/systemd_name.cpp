// Names of units and the paths that follow from them.
#include <algorithm>

#include "base/chars.h"
#include "base/strings.h"
#include "cgroup/systemd.h"

namespace cooper::cgroup {
namespace {

constexpr std::size_t kMaxUnitName = 255;

Error bad(std::string_view what, std::string_view why) {
  return {Errc::kInvalidArgument, "/linux/cgroupsPath: " + std::string(what) + " " + std::string(why), EINVAL};
}

// Letters, digits and ":-_.\" (systemd.unit(5)); '@' would make it an instance of a template.
bool is_unit_char(char c) {
  return is_alnum(c) || std::string_view(":-_.\\").find(c) != std::string_view::npos;
}

Status check_unit(std::string_view unit) {
  if (unit.size() > kMaxUnitName) return bad("unit " + quoted(unit), "has a name longer than 255 bytes");
  if (!std::all_of(unit.begin(), unit.end(), is_unit_char))
    return bad("unit " + quoted(unit), "has a name with characters other than letters, digits and :-_.\\");
  return {};
}

// Ids may hold one character that names of units may not.
std::string escaped(std::string_view id) {
  std::string out;
  for (const char c : id) {
    if (c == '+') {
      out += "\\x2b";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

Result<std::string> expand_slice(std::string_view slice) {
  constexpr std::string_view kSuffix = ".slice";
  if (slice.size() <= kSuffix.size() || !slice.ends_with(kSuffix) || slice.find('/') != std::string_view::npos)
    return bad("slice " + quoted(slice), "is not the name of a slice, such as 'system.slice'");
  RETURN_IF_ERROR(check_unit(slice));
  const std::string_view name = slice.substr(0, slice.size() - kSuffix.size());
  if (name == "-") return std::string();
  std::string path;
  std::string prefix;
  for (const auto word : split(name, '-')) {
    if (word.empty()) return bad("slice " + quoted(slice), "has a name with an empty part");
    prefix += (prefix.empty() ? "" : "-") + std::string(word);
    path += "/" + prefix + std::string(kSuffix);
  }
  return path;
}

Result<UnitName> parse_unit_name(std::string_view cgroups_path, std::string_view id, dbus::Bus bus) {
  UnitName out;
  std::string prefix = "coop";
  std::string name = escaped(id);
  if (!cgroups_path.empty()) {
    const auto parts = split(cgroups_path, ':');
    if (parts.size() != 3) {
      return bad(quoted(cgroups_path), "is not of the form slice:prefix:name, which the systemd cgroup manager needs")
          .with_hint("leave out --systemd-cgroup for a path");
    }
    out.slice = parts[0];
    prefix = parts[1];
    name = parts[2];
  }
  if (out.slice.empty()) out.slice = bus == dbus::Bus::kUser ? "user.slice" : "system.slice";
  if (name.empty()) return bad(quoted(cgroups_path), "has no name");
  ASSIGN_OR_RETURN(const std::string parent, expand_slice(out.slice));
  if (name.ends_with(".slice")) {
    out.unit = name;
    // A slice lies where its name says.
    ASSIGN_OR_RETURN(out.path, expand_slice(name));
    if (out.path.empty()) return bad("unit " + quoted(name), "is the root of all slices");
    return out;
  }
  out.unit = (prefix.empty() ? "" : prefix + "-") + name + ".scope";
  RETURN_IF_ERROR(check_unit(out.unit));
  out.path = parent + "/" + out.unit;
  return out;
}

}  // namespace cooper::cgroup
