#include "image/internal/build_config.h"

#include <algorithm>
#include <array>
#include <ctime>

#include "base/strings.h"
#include "codec/json.h"
#include "image/internal/changes.h"
#include "spec/oci_image/print.h"
#include "sys/tables.h"

namespace cooper::image {
namespace {

using codec::json::Document;
using codec::json::Value;
using codec::json::Writer;

Error bad(std::string_view what, const std::string& why) {
  return Error(Errc::kInvalidArgument, std::string(what) + " " + why);
}

Status apply_env(const std::vector<std::string>& env, oci_image::ImageConfig& config) {
  for (const std::string& one : env) {
    const auto pair = split_once(one, '=');
    if (!pair || pair->first.empty())
      return bad("environment variable", quoted(one) + " is not of the form NAME=VALUE");
    set_env(pair->first, pair->second, config);
  }
  return {};
}

// Members of a version of the image specification that ImageConfig does not hold, and those docker adds: beside the
// platform, and in "config".
constexpr std::array<std::string_view, 2> kPlatformMembers = {"os.version", "os.features"};
constexpr std::array<std::string_view, 9> kOwnMembers = {"User",    "ExposedPorts", "Env",    "Entrypoint", "Cmd",
                                                         "Volumes", "WorkingDir",   "Labels", "StopSignal"};

void copy_members(const Value& from, Writer& out) {
  for (std::size_t i = 0; i < from.size(); ++i) {
    const auto [name, value] = from.member(i);
    out.key(name).value(value);
  }
}

void copy_unknown(const Value& base, Writer& out) {
  for (std::size_t i = 0; i < base.size(); ++i) {
    const auto [name, value] = base.member(i);
    if (std::ranges::find(kOwnMembers, name) == kOwnMembers.end() && !value.is_null()) out.key(name).value(value);
  }
}

}  // namespace

Status apply_config(const BuildConfig& changes, oci_image::ImageConfig& config) {
  if (changes.entrypoint) {
    config.entrypoint = *changes.entrypoint;
    config.cmd.clear();
  }
  if (changes.cmd) config.cmd = *changes.cmd;
  RETURN_IF_ERROR(apply_env(changes.env, config));
  if (changes.user) config.user = *changes.user;
  if (changes.working_dir) {
    if (!changes.working_dir->starts_with('/'))
      return bad("working directory", quoted(*changes.working_dir) + " is not an absolute path");
    config.working_dir = *changes.working_dir;
  }
  if (changes.stop_signal) {
    if (!sys::signal_from_name(*changes.stop_signal))
      return bad("signal", quoted(*changes.stop_signal) + " is not known");
    config.stop_signal = *changes.stop_signal;
  }
  if (changes.author) config.author = *changes.author;
  for (const auto& [key, value] : changes.labels) config.labels[key] = value;
  for (const std::string& port : changes.ports) RETURN_IF_ERROR(add_port(port, config));
  for (const std::string& volume : changes.volumes) {
    if (Status added = add_volume(volume, config); !added.ok()) return bad("volume", added.error().message());
  }
  return {};
}

Result<std::string> print_over_base(const oci_image::ImageConfig& config, const std::string& base_bytes) {
  ASSIGN_OR_RETURN(const Document own, Document::parse(oci_image::print(config), "configuration"));
  ASSIGN_OR_RETURN(const Document base, Document::parse(base_bytes, "configuration"));
  Writer out;
  out.begin_object();
  for (std::size_t i = 0; i < own.root().size(); ++i) {
    const auto [name, value] = own.root().member(i);
    out.key(name);
    if (name != "config") {
      out.value(value);
      continue;
    }
    out.begin_object();
    copy_members(value, out);
    if (const auto of_base = base.root().find(name)) copy_unknown(*of_base, out);
    out.end_object();
  }
  for (const std::string_view name : kPlatformMembers) {
    if (const auto value = base.root().find(name); value && !value->is_null()) out.key(name).value(*value);
  }
  out.end_object();
  return out.take();
}

Result<std::string> rfc3339(std::int64_t unix_s) {
  constexpr std::int64_t kLast = 253'402'300'799;
  if (unix_s < 0 || unix_s > kLast) return bad("time", std::to_string(unix_s) + " is not between 1970 and 9999");
  const std::time_t seconds = unix_s;
  std::tm parts{};
  (void)::gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  const std::size_t n = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return std::string(text.data(), n);
}

}  // namespace cooper::image
