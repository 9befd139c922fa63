// Single values of flags: volumes, mounts, limits, env files, entrypoints.
#include <algorithm>
#include <array>
#include <limits>

#include "base/chars.h"
#include "base/strings.h"
#include "cli/cooper/mount_words.h"
#include "cli/cooper/run_request.h"
#include "codec/json.h"
#include "container/mount_options.h"
#include "sys/tables.h"

namespace cooper::cli {
namespace {

Error bad(std::string_view what, std::string_view text, const std::string& why) {
  return Error(Errc::kInvalidArgument, std::string(what) + " " + quoted(text) + ": " + why);
}

Result<std::string> host_path(std::string_view source, const std::string& working_directory, std::string_view what,
                              std::string_view text) {
  if (source.empty()) return bad(what, text, "the source is empty");
  if (source[0] == '/') return std::string(source);
  if (source == "." || source == ".." || source.starts_with("./") || source.starts_with("../")) {
    if (working_directory.empty())
      return Error(Errc::kNotFound, std::string(what) + " " + quoted(text) + ": the working directory has been removed",
                   ENOENT)
          .with_hint("give an absolute path");
    return working_directory + "/" + std::string(source);
  }
  return Error(Errc::kUnsupported, std::string(what) + " " + quoted(text) + ": named volumes are not supported")
      .with_hint("give a path of the host, such as ./" + std::string(source));
}

Status check_target(std::string_view target, std::string_view what, std::string_view text) {
  if (!target.starts_with('/')) return bad(what, text, "the target must be an absolute path");
  if (std::ranges::all_of(target, [](char c) { return c == '/'; }))
    return bad(what, text, "the target cannot be the root");
  return {};
}

std::vector<std::string> words(std::string_view list) {
  std::vector<std::string> out;
  for (const std::string_view word : split(list, ',')) {
    if (!word.empty()) out.emplace_back(word);
  }
  return out;
}

// Fields of --mount: key or key=value.
struct MountFields {
  std::string type, source, target;
  std::vector<std::string> options;
};

using Value = std::optional<std::string_view>;

// Fields that become options; false for others.
Result<bool> option_field(std::string_view key, const Value& value, std::string_view text,
                          std::vector<std::string>& options) {
  if (key == "readonly" || key == "ro" || key == "rw" || key == "bind-nonrecursive") {
    const auto on = value ? parse_field_switch(*value) : std::optional(true);
    if (!on) return bad("--mount", text, std::string(key) + " takes true or false, not " + quoted(*value));
    if (key == "bind-nonrecursive") {
      options.emplace_back(*on ? "bind" : "rbind");
    } else if (*on) {
      options.emplace_back(key == "rw" ? "rw" : "ro");
    } else if (key == "rw") {
      options.emplace_back("ro");
    }
    return true;
  }
  if (!value) return false;
  if (key == "bind-propagation") {
    if (container::propagation_from_word(*value) == 0) {
      return bad("--mount", text,
                 "bind-propagation takes private, rprivate, shared, rshared, slave, rslave, unbindable or runbindable, "
                 "not " +
                     quoted(*value));
    }
    options.emplace_back(*value);
  } else if (key == "relabel") {
    if (*value != "private" && *value != "shared")
      return bad("--mount", text, "relabel takes private or shared, not " + quoted(*value));
    options.emplace_back(*value == "private" ? "Z" : "z");
  } else if (key == "tmpfs-size" || key == "tmpfs-mode") {
    options.push_back(std::string(key.substr(6)) + "=" + std::string(*value));
  } else {
    return false;
  }
  return true;
}

Result<MountFields> mount_fields(std::string_view text) {
  MountFields out;
  for (const std::string_view field : split(text, ',')) {
    const auto pair = split_once(field, '=');
    const std::string_view key = pair ? pair->first : field;
    const Value value = pair ? Value(pair->second) : std::nullopt;
    if (key == "type" && value) {
      out.type = *value;
    } else if ((key == "source" || key == "src") && value) {
      out.source = *value;
    } else if ((key == "target" || key == "destination" || key == "dst") && value) {
      out.target = *value;
    } else {
      ASSIGN_OR_RETURN(const bool known, option_field(key, value, text, out.options));
      if (!known) return bad("--mount", text, "unknown field " + quoted(key));
    }
  }
  return out;
}

using Ranges = std::vector<std::pair<unsigned, unsigned>>;

// "0-2,5"
std::optional<Ranges> parse_ranges(std::string_view list) {
  Ranges out;
  for (const std::string_view part : split(list, ',')) {
    const auto pair = split_once(part, '-');
    const auto from = parse_number<unsigned>(pair ? pair->first : part);
    const auto to = pair ? parse_number<unsigned>(pair->second) : from;
    if (!from || !to || *to < *from || *to > 65535) return std::nullopt;
    out.emplace_back(*from, *to);
  }
  return out;
}

Result<std::uint64_t> limit_value(std::string_view text, std::string_view whole) {
  if (text == "unlimited" || text == "-1") return std::numeric_limits<std::uint64_t>::max();
  const auto n = parse_number<std::uint64_t>(text);
  if (!n) return bad("ulimit", whole, quoted(text) + " is no number and not 'unlimited'");
  return *n;
}

}  // namespace

std::optional<bool> parse_field_switch(std::string_view value) {
  if (value == "true" || value == "1") return true;
  if (value == "false" || value == "0") return false;
  return std::nullopt;
}

Status check_processors(std::string_view list, std::string_view online) {
  const std::string text = "--cpuset-cpus " + quoted(list) + ": ";
  const Ranges there = parse_ranges(trim(online)).value_or(Ranges{});
  const auto wanted = parse_ranges(list);
  if (!wanted) return Error(Errc::kInvalidArgument, text + "not a list of processors such as 0-2,5");
  if (there.empty()) return {};
  for (const auto& [from, to] : *wanted) {
    // One range after the other is taken off the front of what is wanted.
    unsigned next = from;
    for (const auto& [first, last] : there) {
      if (first <= next && next <= last) next = last + 1;
    }
    if (next <= to) {
      return Error(Errc::kInvalidArgument, text + "this machine has no processor " + std::to_string(next) + ", only " +
                                               std::string(trim(online)));
    }
  }
  return {};
}

Result<pod::VolumeMount> parse_volume(std::string_view text, const std::string& working_directory) {
  const auto parts = split(text, ':');
  pod::VolumeMount mount;
  if (parts.size() == 1) {
    mount.destination = parts[0];
  } else if (parts.size() == 2 || parts.size() == 3) {
    ASSIGN_OR_RETURN(mount.source, host_path(parts[0], working_directory, "--volume", text));
    mount.destination = parts[1];
    if (parts.size() == 3) mount.options = words(parts[2]);
  } else {
    return bad("--volume", text, "more than two colons (use --mount for paths that hold one)");
  }
  RETURN_IF_ERROR(check_target(mount.destination, "--volume", text));
  RETURN_IF_ERROR(check_mount_words(mount.options, MountSort::kBind, "volume", text));
  return mount;
}

Result<pod::VolumeMount> parse_mount(std::string_view text, const std::string& working_directory) {
  ASSIGN_OR_RETURN(MountFields fields, mount_fields(text));
  pod::VolumeMount mount;
  mount.destination = fields.target;
  mount.options = std::move(fields.options);
  if (fields.target.empty()) return bad("--mount", text, "the target is missing");
  RETURN_IF_ERROR(check_target(mount.destination, "--mount", text));
  if (fields.type == "bind") {
    ASSIGN_OR_RETURN(mount.source, host_path(fields.source, working_directory, "--mount", text));
  } else if (fields.type == "tmpfs") {
    if (!fields.source.empty()) return bad("--mount", text, "a tmpfs has no source");
    mount.tmpfs = true;
  } else if (fields.type == "volume" || fields.type.empty()) {
    if (!fields.source.empty()) {
      return Error(Errc::kUnsupported, "--mount " + quoted(text) + ": named volumes are not supported")
          .with_hint("use type=bind");
    }
  } else {
    return bad("--mount", text, "the type must be bind, tmpfs or volume");
  }
  RETURN_IF_ERROR(check_mount_words(mount.options, mount.tmpfs ? MountSort::kTmpfs : MountSort::kBind, "mount", text));
  return mount;
}

Result<pod::VolumeMount> parse_tmpfs(std::string_view text) {
  const auto pair = split_once(text, ':');
  pod::VolumeMount mount;
  mount.tmpfs = true;
  mount.destination = pair ? pair->first : text;
  if (pair) mount.options = words(pair->second);
  RETURN_IF_ERROR(check_target(mount.destination, "--tmpfs", text));
  RETURN_IF_ERROR(check_mount_words(mount.options, MountSort::kTmpfs, "tmpfs", text));
  return mount;
}

Result<pod::Ulimit> parse_ulimit(std::string_view text) {
  const auto pair = split_once(text, '=');
  if (!pair) return bad("ulimit", text, "not of the form NAME=SOFT[:HARD]");
  pod::Ulimit limit;
  limit.name = to_lower(pair->first);
  std::string constant = "RLIMIT_";
  for (const char c : limit.name) constant += to_upper(c);
  if (!sys::rlimit_from_name(constant)) {
    std::string known;
    for (const sys::NamedNumber& one : sys::rlimits())
      known += (known.empty() ? "" : " ") + to_lower(one.name.substr(7));
    return bad("ulimit", text, "unknown limit " + quoted(pair->first) + " (known: " + known + ")");
  }
  const auto values = split_once(pair->second, ':');
  ASSIGN_OR_RETURN(limit.soft, limit_value(values ? values->first : pair->second, text));
  limit.hard = limit.soft;
  if (values) {
    ASSIGN_OR_RETURN(limit.hard, limit_value(values->second, text));
  }
  if (limit.soft > limit.hard) return bad("ulimit", text, "the soft limit is above the hard one");
  return limit;
}

Result<std::vector<std::string>> parse_env_file(std::string_view text, std::string_view what,
                                                const Surroundings& around) {
  std::vector<std::string> out;
  int number = 0;
  for (std::string_view line : split(text, '\n')) {
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::size_t first = line.find_first_not_of(" \t");
    if (first == std::string_view::npos || line[first] == '#') continue;
    line.remove_prefix(first);
    const std::string_view name = line.substr(0, line.find('='));
    if (name.empty() || name.find_first_of(" \t") != std::string_view::npos ||
        line.find('\0') != std::string_view::npos) {
      return Error(Errc::kInvalidArgument,
                   std::string(what) + ", line " + std::to_string(number) + ": not of the form NAME=VALUE");
    }
    if (name.size() < line.size()) {
      out.emplace_back(line);
    } else if (const auto value = around.environment(std::string(name))) {
      out.push_back(std::string(name) + "=" + *value);
    }
  }
  return out;
}

Result<std::vector<std::string>> parse_entrypoint(std::string_view text) {
  if (text.empty()) return std::vector<std::string>();
  if (trim(text).starts_with('[')) {
    ASSIGN_OR_RETURN(const codec::json::Document document,
                     codec::json::Document::parse(std::string(text), "array of words"));
    return codec::json::Cursor(document.root(), "array of words").strings();
  }
  return std::vector<std::string>{std::string(text)};
}

}  // namespace cooper::cli
