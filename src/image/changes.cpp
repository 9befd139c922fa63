#include "image/internal/changes.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/strings.h"
#include "codec/json.h"
#include "sys/tables.h"

namespace cooper::image {
namespace {

using oci_image::ImageConfig;

Error bad(std::string_view change, std::string_view why) {
  return Error(Errc::kInvalidArgument, "change " + quoted(change) + ": " + std::string(why));
}

// Words with quotes and backslashes, as docker reads them.
Result<std::vector<std::string>> words(std::string_view text, std::string_view change) {
  std::vector<std::string> out;
  std::string word;
  bool open = false;
  char quote = '\0';
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
      word += text[++i];
      open = true;
    } else if (quote != '\0') {
      if (c == quote) {
        quote = '\0';
      } else {
        word += c;
      }
    } else if (c == '"' || c == '\'') {
      quote = c;
      open = true;
    } else if (c == ' ' || c == '\t') {
      if (open) out.push_back(std::exchange(word, {}));
      open = false;
    } else {
      word += c;
      open = true;
    }
  }
  if (quote != '\0') return bad(change, "a quote is not closed");
  if (open) out.push_back(std::move(word));
  return out;
}

// ["a","b"] is an argument vector; anything else is a line for the shell.
Result<std::vector<std::string>> command(std::string_view text, std::string_view change) {
  if (!text.starts_with('[')) return std::vector<std::string>{"/bin/sh", "-c", std::string(text)};
  auto document = codec::json::Document::parse(std::string(text), "change");
  if (!document.ok()) return bad(change, document.error().message());
  auto arguments = codec::json::Cursor(document->root(), "change").strings();
  if (!arguments.ok()) return bad(change, arguments.error().message());
  return arguments;
}

void add_once(std::vector<std::string>& list, std::string text) {
  if (std::ranges::find(list, text) == list.end()) list.push_back(std::move(text));
}

// "K=V K2=V2" or "K V".
template <typename F>
Status key_values(std::string_view text, std::string_view change, F set) {
  ASSIGN_OR_RETURN(const auto items, words(text, change));
  if (items.empty()) return bad(change, "needs a value");
  if (items.front().find('=') == std::string::npos) {
    const auto parts = split_once(text, ' ');
    if (!parts) return bad(change, "is not of the form KEY=VALUE");
    set(parts->first, trim(parts->second));
    return {};
  }
  for (const std::string& item : items) {
    const auto pair = split_once(item, '=');
    if (!pair || pair->first.empty()) return bad(change, "is not of the form KEY=VALUE");
    set(pair->first, pair->second);
  }
  return {};
}

Status change_expose(std::string_view text, std::string_view change, ImageConfig& config) {
  ASSIGN_OR_RETURN(const auto items, words(text, change));
  for (const std::string& item : items) {
    if (Status added = add_port(item, config); !added.ok()) return bad(change, added.error().message());
  }
  return {};
}

Status change_volume(std::string_view text, std::string_view change, ImageConfig& config) {
  std::vector<std::string> paths;
  if (text.starts_with('[')) {
    ASSIGN_OR_RETURN(paths, command(text, change));
  } else {
    ASSIGN_OR_RETURN(paths, words(text, change));
  }
  for (std::string& path : paths) {
    if (Status added = add_volume(std::move(path), config); !added.ok()) return bad(change, added.error().message());
  }
  return {};
}

}  // namespace

Status add_port(std::string_view text, ImageConfig& config) {
  const auto parts = split_once(text, '/');
  const std::string_view port = parts ? parts->first : text;
  const std::string protocol = parts ? to_lower(parts->second) : "tcp";
  const auto range = split_once(port, '-');
  const auto first = parse_number<std::uint16_t>(range ? range->first : port);
  const auto last = range ? parse_number<std::uint16_t>(range->second) : first;
  if (!first || !last || *first == 0 || *last < *first)
    return Error(Errc::kInvalidArgument, quoted(port) + " is not a port, nor a range of ports");
  if (protocol != "tcp" && protocol != "udp" && protocol != "sctp")
    return Error(Errc::kInvalidArgument, quoted(protocol) + " is not a protocol");
  // Each on its own, as docker and podman write them.
  std::set<std::string> there(config.exposed_ports.begin(), config.exposed_ports.end());
  for (std::uint32_t number = *first; number <= *last; ++number) {
    std::string one = std::to_string(number) + "/" + protocol;
    if (there.insert(one).second) config.exposed_ports.push_back(std::move(one));
  }
  return {};
}

Status add_volume(std::string path, ImageConfig& config) {
  if (!path.starts_with('/')) return Error(Errc::kInvalidArgument, quoted(path) + " is not an absolute path");
  add_once(config.volumes, std::move(path));
  return {};
}

void set_env(std::string_view key, std::string_view value, ImageConfig& config) {
  const std::string prefix = std::string(key) + "=";
  const auto old = std::ranges::find_if(config.env, [&](const std::string& one) { return one.starts_with(prefix); });
  if (old != config.env.end()) {
    *old = prefix + std::string(value);
  } else {
    config.env.push_back(prefix + std::string(value));
  }
}

Status apply_change(std::string_view change, ImageConfig& config) {
  const std::string_view line = trim(change);
  const std::size_t blank = std::min(line.find_first_of(" \t="), line.size());
  const std::string keyword = to_lower(line.substr(0, blank));
  const std::string_view value = trim(line.substr(std::min(blank + 1, line.size())));
  if (value.empty()) return bad(change, "needs an instruction and a value");
  if (keyword == "cmd") {
    ASSIGN_OR_RETURN(config.cmd, command(value, change));
    return {};
  }
  if (keyword == "entrypoint") {
    ASSIGN_OR_RETURN(config.entrypoint, command(value, change));
    return {};
  }
  if (keyword == "env") {
    return key_values(value, change, [&](std::string_view k, std::string_view v) { set_env(k, v, config); });
  }
  if (keyword == "label") {
    return key_values(value, change,
                      [&](std::string_view k, std::string_view v) { config.labels[std::string(k)] = v; });
  }
  if (keyword == "expose") return change_expose(value, change, config);
  if (keyword == "volume") return change_volume(value, change, config);
  if (keyword == "user") {
    config.user = value;
    return {};
  }
  if (keyword == "workdir") {
    if (!value.starts_with('/')) return bad(change, "the working directory is not an absolute path");
    config.working_dir = value;
    return {};
  }
  if (keyword == "stopsignal") {
    if (!sys::signal_from_name(value)) return bad(change, "signal " + quoted(value) + " is not known");
    config.stop_signal = value;
    return {};
  }
  return bad(change, "instruction " + quoted(keyword) + " is not known")
      .with_hint("these are: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR");
}

}  // namespace cooper::image
