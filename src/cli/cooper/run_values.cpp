// Single values of flags: volumes, mounts, limits, env files, entrypoints.
#include <algorithm>
#include <array>
#include <limits>

#include "base/strings.h"
#include "cli/cooper/run_request.h"
#include "codec/json.h"
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

bool is_true(const std::optional<std::string_view>& value) {
  return !value.has_value() || value.value_or("") == "true" || value.value_or("") == "1";
}

// Fields of --mount: key or key=value.
struct MountFields {
  std::string type, source, target;
  std::vector<std::string> options;
};

Result<MountFields> mount_fields(std::string_view text) {
  MountFields out;
  for (const std::string_view field : split(text, ',')) {
    const auto pair = split_once(field, '=');
    const std::string_view key = pair ? pair->first : field;
    const auto value = pair ? std::optional(pair->second) : std::nullopt;
    if (key == "type" && value) {
      out.type = *value;
    } else if ((key == "source" || key == "src") && value) {
      out.source = *value;
    } else if ((key == "target" || key == "destination" || key == "dst") && value) {
      out.target = *value;
    } else if (key == "readonly" || key == "ro") {
      if (is_true(value)) out.options.emplace_back("ro");
    } else if (key == "rw") {
      out.options.emplace_back("rw");
    } else if ((key == "bind-propagation" || key == "relabel") && value) {
      out.options.emplace_back(key == "relabel" ? (*value == "private" ? "Z" : "z") : *value);
    } else if (key == "bind-nonrecursive") {
      if (is_true(value)) out.options.emplace_back("bind");
    } else if (key == "tmpfs-size" && value) {
      out.options.push_back("size=" + std::string(*value));
    } else if (key == "tmpfs-mode" && value) {
      out.options.push_back("mode=" + std::string(*value));
    } else {
      return bad("mount", text, "unknown field " + quoted(key));
    }
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

Result<pod::VolumeMount> parse_volume(std::string_view text, const std::string& working_directory) {
  const auto parts = split(text, ':');
  pod::VolumeMount mount;
  if (parts.size() == 1) {
    mount.destination = parts[0];
  } else if (parts.size() == 2 || parts.size() == 3) {
    ASSIGN_OR_RETURN(mount.source, host_path(parts[0], working_directory, "volume", text));
    mount.destination = parts[1];
    if (parts.size() == 3) mount.options = words(parts[2]);
  } else {
    return bad("volume", text, "more than two colons (use --mount for paths that hold one)");
  }
  RETURN_IF_ERROR(check_target(mount.destination, "volume", text));
  return mount;
}

Result<pod::VolumeMount> parse_mount(std::string_view text, const std::string& working_directory) {
  ASSIGN_OR_RETURN(MountFields fields, mount_fields(text));
  pod::VolumeMount mount;
  mount.destination = fields.target;
  mount.options = std::move(fields.options);
  if (fields.target.empty()) return bad("mount", text, "the target is missing");
  RETURN_IF_ERROR(check_target(mount.destination, "mount", text));
  if (fields.type == "bind") {
    ASSIGN_OR_RETURN(mount.source, host_path(fields.source, working_directory, "mount", text));
  } else if (fields.type == "tmpfs") {
    if (!fields.source.empty()) return bad("mount", text, "a tmpfs has no source");
    mount.tmpfs = true;
  } else if (fields.type == "volume" || fields.type.empty()) {
    if (!fields.source.empty()) {
      return Error(Errc::kUnsupported, "mount " + quoted(text) + ": named volumes are not supported")
          .with_hint("use type=bind");
    }
  } else {
    return bad("mount", text, "the type must be bind, tmpfs or volume");
  }
  return mount;
}

Result<pod::VolumeMount> parse_tmpfs(std::string_view text) {
  const auto pair = split_once(text, ':');
  pod::VolumeMount mount;
  mount.tmpfs = true;
  mount.destination = pair ? pair->first : text;
  if (pair) mount.options = words(pair->second);
  RETURN_IF_ERROR(check_target(mount.destination, "tmpfs", text));
  return mount;
}

Result<pod::Ulimit> parse_ulimit(std::string_view text) {
  const auto pair = split_once(text, '=');
  if (!pair) return bad("ulimit", text, "not of the form NAME=SOFT[:HARD]");
  pod::Ulimit limit;
  limit.name = to_lower(pair->first);
  std::string constant = "RLIMIT_";
  for (const char c : limit.name) constant += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
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
                     codec::json::Document::parse(std::string(text), "--entrypoint"));
    return codec::json::Cursor(document.root(), "--entrypoint").strings();
  }
  return std::vector<std::string>{std::string(text)};
}

}  // namespace cooper::cli
