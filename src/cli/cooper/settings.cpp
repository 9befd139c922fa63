#include "cli/cooper/settings.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdlib>

#include "base/strings.h"
#include "cli/cooper/detach_keys.h"
#include "cli/cooper/format_template.h"
#include "cli/cooper/time_text.h"
#include "cli/cooper/toml.h"
#include "cli/cooper/userns_words.h"
#include "fetch/sources.h"
#include "io/file.h"

namespace cooper::cli {
namespace {

constexpr const char* kSystemConfig = "/etc/cooper/cooper.toml";
constexpr const char* kVendorConfig = "/usr/lib/cooper/cooper.toml";
constexpr std::array<Flag, 8> kGlobalFlags = {{
    {"root", 0, "DIR", "where images and pods are kept (default /var/lib/cooper, without root ~/.local/share/cooper)",
     Flag::Complete::kDirectory},
    {"run-root", 0, "DIR", "where running things are kept (default /run/cooper)", Flag::Complete::kDirectory},
    {"config", 0, "FILE", "configuration file (default /etc/cooper/cooper.toml)", Flag::Complete::kFile},
    {"log-level", 0, "LEVEL", "debug, info, warning or error", Flag::Complete::kWords, "debug info warning error"},
    {"log-format", 0, "FORMAT", "text or json, for messages on standard error", Flag::Complete::kWords, "text json"},
    {"format", 0, "FORMAT", "table, json or json-pretty, for what is listed", Flag::Complete::kWords,
     "table json json-pretty"},
    {"help", 'h', "", "this page"},
    {"version", 0, "", "versions"},
}};

constexpr std::size_t kMaxConfigBytes = 1 << 20;

// Reads one key of the document into a setting.
class Entry {
 public:
  Entry(const std::string& key, const toml::Value& value, std::string_view what)
      : key_(key), value_(value), what_(what) {}

  Error error(const std::string& message) const {
    return Error(Errc::kInvalidArgument,
                 std::string(what_) + ", line " + std::to_string(value_.line) + ": " + quoted(key_) + " " + message);
  }
  Result<std::string> text() const {
    if (const auto* s = std::get_if<std::string>(&value_.data)) return *s;
    return error("must be text");
  }
  Result<std::int64_t> integer() const {
    if (const auto* n = std::get_if<std::int64_t>(&value_.data)) return *n;
    return error("must be a whole number");
  }
  Result<std::vector<std::string>> texts() const {
    const auto* array = std::get_if<std::vector<toml::Scalar>>(&value_.data);
    if (array == nullptr) return error("must be an array of texts");
    std::vector<std::string> out;
    for (const toml::Scalar& element : *array) {
      const auto* s = std::get_if<std::string>(&element);
      if (s == nullptr) return error("must be an array of texts");
      out.push_back(*s);
    }
    return out;
  }
  Result<std::string> absolute_path() const {
    Result<std::string> path = text();
    if (path.ok() && !path->starts_with('/')) return error("must be an absolute path");
    return path;
  }

 private:
  const std::string& key_;
  const toml::Value& value_;
  std::string_view what_;
};

using Apply = Status (*)(const Entry&, Settings&);
struct Key {
  std::string_view name;
  Apply apply;
};

Status apply_root(const Entry& entry, Settings& settings) {
  ASSIGN_OR_RETURN(settings.engine.root, entry.absolute_path());
  return {};
}
Status apply_run_root(const Entry& entry, Settings& settings) {
  ASSIGN_OR_RETURN(settings.engine.run_root, entry.absolute_path());
  return {};
}
Status apply_init_path(const Entry& entry, Settings& settings) {
  ASSIGN_OR_RETURN(settings.engine.init_path, entry.absolute_path());
  return {};
}
Status apply_cgroup_parent(const Entry& entry, Settings& settings) {
  ASSIGN_OR_RETURN(settings.engine.cgroup_parent, entry.absolute_path());
  return {};
}
Status apply_log_level(const Entry& entry, Settings& settings) {
  ASSIGN_OR_RETURN(const std::string text, entry.text());
  auto level = log::level_from_string(text);
  if (!level.ok()) return entry.error("is " + quoted(text) + ", not one of debug, info, warning and error");
  settings.log.level = *level;
  return {};
}
Status apply_log_format(const Entry& entry, Settings& settings) {
  ASSIGN_OR_RETURN(const std::string text, entry.text());
  auto format = log::format_from_string(text);
  if (!format.ok()) return entry.error("is " + quoted(text) + ", neither text nor json");
  settings.log.format = *format;
  return {};
}
Status apply_format(const Entry& entry, Settings& settings) {
  ASSIGN_OR_RETURN(const std::string text, entry.text());
  auto format = output_format_from_string(text);
  if (!format.ok()) return entry.error("is " + quoted(text) + ", not one of table, json and json-pretty");
  settings.format = *format;
  return {};
}
Status apply_pids_limit(const Entry& entry, Settings& settings) {
  ASSIGN_OR_RETURN(settings.pids_limit, entry.integer());
  if (*settings.pids_limit < -1) return entry.error("must be -1 (no limit) or more");
  return {};
}
Status apply_stop_timeout(const Entry& entry, Settings& settings) {
  ASSIGN_OR_RETURN(const std::int64_t seconds, entry.integer());
  if (seconds < 0 || seconds > INT_MAX / 1000) return entry.error("must be a number of seconds");
  settings.stop_timeout_ms = static_cast<int>(seconds * 1000);
  return {};
}
Status apply_network(const Entry& entry, Settings& settings) {
  ASSIGN_OR_RETURN(settings.network, entry.text());
  if (settings.network != "none" && settings.network != "host") return entry.error("must be none or host");
  return {};
}
Status apply_userns(const Entry& entry, Settings& settings) {
  ASSIGN_OR_RETURN(settings.userns, entry.text());
  if (auto parsed = parse_userns(settings.userns); !parsed.ok())
    return entry.error("is wrong: " + parsed.error().message());
  return {};
}
Status apply_log_max_size(const Entry& entry, Settings& settings) {
  ASSIGN_OR_RETURN(const std::string text, entry.text());
  auto bytes = parse_bytes(text);
  if (!bytes.ok()) return entry.error("is " + quoted(text) + ", not a size such as 10m");
  settings.log_max_bytes = *bytes;
  return {};
}
Status apply_detach_keys(const Entry& entry, Settings& settings) {
  ASSIGN_OR_RETURN(settings.detach_keys, entry.text());
  if (auto keys = parse_detach_keys(settings.detach_keys); !keys.ok())
    return entry.error("is wrong: " + keys.error().message());
  return {};
}
Status apply_ulimits(const Entry& entry, Settings& settings) {
  ASSIGN_OR_RETURN(settings.ulimits, entry.texts());
  return {};
}

Status apply_pull(const Entry& entry, Settings& settings) {
  ASSIGN_OR_RETURN(const std::string text, entry.text());
  settings.pull = parse_pull(text);
  if (!settings.pull) return entry.error("is " + quoted(text) + ", not one of never, missing, newer and always");
  return {};
}

Status apply_backend(const Entry& entry, Settings& settings) {
  ASSIGN_OR_RETURN(const std::string text, entry.text());
  auto backend = image::backend_from_string(text);
  if (!backend.ok()) return entry.error("is wrong: " + backend.error().message());
  settings.backend = *backend;
  return {};
}

Status apply_fetch_path(const Entry& entry, Settings& settings) {
  ASSIGN_OR_RETURN(settings.registries.fetch_path, entry.absolute_path());
  return {};
}
Status apply_signature_policy(const Entry& entry, Settings& settings) {
  ASSIGN_OR_RETURN(settings.signature_policy, entry.absolute_path());
  return {};
}
Status apply_signatures_dir(const Entry& entry, Settings& settings) {
  ASSIGN_OR_RETURN(settings.registries.signatures_dir, entry.absolute_path());
  return {};
}
Status apply_insecure(const Entry& entry, Settings& settings) {
  ASSIGN_OR_RETURN(settings.registries.insecure, entry.texts());
  return {};
}
Status apply_mirrors(const Entry& entry, Settings& settings) {
  ASSIGN_OR_RETURN(const auto texts, entry.texts());
  settings.registries.mirrors.clear();
  for (const std::string& text : texts) {
    auto mirror = fetch::parse_mirror(text);
    if (!mirror.ok()) return entry.error("is wrong: " + mirror.error().message());
    settings.registries.mirrors.push_back(std::move(*mirror));
  }
  return {};
}
Status apply_parallel(const Entry& entry, Settings& settings) {
  ASSIGN_OR_RETURN(const std::int64_t number, entry.integer());
  if (number < 1 || number > fetch::kMaxParallel)
    return entry.error("must be between 1 and " + std::to_string(fetch::kMaxParallel));
  settings.registries.parallel = static_cast<unsigned>(number);
  return {};
}
Status apply_stall_timeout(const Entry& entry, Settings& settings) {
  ASSIGN_OR_RETURN(const std::int64_t seconds, entry.integer());
  if (seconds < 1 || seconds > 86400) return entry.error("must be a number of seconds, one day at most");
  settings.registries.stall_timeout_s = static_cast<unsigned>(seconds);
  return {};
}
Status apply_trust_directory(const Entry& entry, Settings& settings) {
  ASSIGN_OR_RETURN(settings.trust.directories.local, entry.absolute_path());
  return {};
}
Status apply_vendor_directory(const Entry& entry, Settings& settings) {
  ASSIGN_OR_RETURN(settings.trust.directories.vendor, entry.absolute_path());
  return {};
}
Status apply_paths_directories(const Entry& entry, Settings& settings) {
  ASSIGN_OR_RETURN(settings.paths_directories, entry.texts());
  for (const std::string& directory : settings.paths_directories)
    if (!directory.starts_with('/'))
      return entry.error("names " + quoted(directory) + ", which is not an absolute path");
  return {};
}
Status apply_gpgv_path(const Entry& entry, Settings& settings) {
  ASSIGN_OR_RETURN(settings.trust.gpgv_path, entry.absolute_path());
  return {};
}

constexpr std::array<Key, 27> kKeys = {{{"root", apply_root},
                                        {"run_root", apply_run_root},
                                        {"init_path", apply_init_path},
                                        {"cgroup_parent", apply_cgroup_parent},
                                        {"log.level", apply_log_level},
                                        {"log.format", apply_log_format},
                                        {"output.format", apply_format},
                                        {"containers.pids_limit", apply_pids_limit},
                                        {"containers.stop_timeout_s", apply_stop_timeout},
                                        {"containers.network", apply_network},
                                        {"containers.userns", apply_userns},
                                        {"containers.log_max_size", apply_log_max_size},
                                        {"containers.detach_keys", apply_detach_keys},
                                        {"containers.ulimits", apply_ulimits},
                                        {"containers.pull", apply_pull},
                                        {"images.backend", apply_backend},
                                        {"images.paths_directories", apply_paths_directories},
                                        {"fetch_path", apply_fetch_path},
                                        {"signature_policy", apply_signature_policy},
                                        {"registries.signatures_dir", apply_signatures_dir},
                                        {"registries.insecure", apply_insecure},
                                        {"registries.mirrors", apply_mirrors},
                                        {"registries.parallel", apply_parallel},
                                        {"registries.stall_timeout_s", apply_stall_timeout},
                                        {"trust.directory", apply_trust_directory},
                                        {"trust.vendor_directory", apply_vendor_directory},
                                        {"trust.gpgv_path", apply_gpgv_path}}};

// Empty: there is none.
std::string user_config_directory() {
  const char* config = ::secure_getenv("XDG_CONFIG_HOME");
  if (config != nullptr && config[0] == '/') return std::string(config) + "/cooper";
  const char* home = ::secure_getenv("HOME");
  return home != nullptr && home[0] == '/' ? std::string(home) + "/.config/cooper" : std::string();
}

// The caller's own trees when not root. An empty root: there is no home.
void apply_user_directories(Settings& settings) {
  if (caller_is_root()) return;
  const char* home = ::secure_getenv("HOME");
  const char* data = ::secure_getenv("XDG_DATA_HOME");
  const char* runtime = ::secure_getenv("XDG_RUNTIME_DIR");
  if (data != nullptr && data[0] == '/') {
    settings.engine.root = std::string(data) + "/cooper";
  } else if (home != nullptr && home[0] == '/') {
    settings.engine.root = std::string(home) + "/.local/share/cooper";
  } else {
    settings.engine.root.clear();
  }
  if (runtime != nullptr && runtime[0] == '/') settings.engine.run_root = std::string(runtime) + "/cooper";
  // Without a home there are no keys of the user's own: none can be added.
  settings.trust.directories.administrator = settings.trust.directories.local;
  if (const std::string config = user_config_directory(); !config.empty())
    settings.trust.directories.local = config + "/trust";
}

std::vector<std::string> config_candidates() {
  std::vector<std::string> paths;
  if (!caller_is_root()) {
    if (const std::string config = user_config_directory(); !config.empty()) paths.push_back(config + "/cooper.toml");
  }
  paths.emplace_back(kSystemConfig);
  paths.emplace_back(kVendorConfig);
  return paths;
}

// What the administrator says for the whole machine, to a user.
bool is_everybodys(const std::string& path) {
  return !caller_is_root() && (path == kSystemConfig || path == kVendorConfig);
}

// Of such a file the places of root's images, containers and keys are not the user's.
Status apply_for_user(std::string_view text, const std::string& path, Settings& settings) {
  Settings applied = settings;
  applied.trust.directories.local = settings.trust.directories.administrator;
  RETURN_IF_ERROR(apply_config(text, path, applied));
  applied.engine.root = settings.engine.root;
  applied.engine.run_root = settings.engine.run_root;
  applied.trust.directories.administrator = applied.trust.directories.local;
  applied.trust.directories.local = settings.trust.directories.local;
  settings = std::move(applied);
  return {};
}

Status apply_file(const std::optional<std::string>& named, Settings& settings) {
  if (named) {
    auto text = io::read_file(*named, kMaxConfigBytes);
    if (!text.ok()) return std::move(text).error().with("--config");
    return apply_config(*text, *named, settings);
  }
  for (const std::string& path : config_candidates()) {
    auto text = io::read_file(path, kMaxConfigBytes);
    if (text.ok())
      return is_everybodys(path) ? apply_for_user(*text, path, settings) : apply_config(*text, path, settings);
    if (text.error().code() != Errc::kNotFound) return std::move(text).error().with("configuration");
  }
  return {};
}

Result<std::string> absolute(const std::string& path, std::string_view flag) {
  if (path.empty()) return Error(Errc::kInvalidArgument, std::string(flag) + " is empty");
  std::string full = path;
  if (path[0] != '/') {
    std::array<char, PATH_MAX> buffer{};
    if (::getcwd(buffer.data(), buffer.size()) == nullptr)
      return Error::from_errno(errno, "find the working directory");
    full = std::string(buffer.data()) + "/" + path;
  }
  // What '..' is depends on the links before it.
  const std::size_t up = (full + "/").rfind("/../");
  if (up == std::string::npos) return full;
  std::array<char, PATH_MAX> resolved{};
  if (::realpath(full.substr(0, up + 3).c_str(), resolved.data()) == nullptr)
    return Error::from_errno(errno, std::string(flag) + " " + quoted(path));
  return resolved.data() + full.substr(up + 3);
}

}  // namespace

uid_t caller_uid() {
  static const uid_t uid = ::geteuid();
  return uid;
}

bool caller_is_root() {
  return caller_uid() == 0;
}

std::span<const Flag> global_flags() {
  return kGlobalFlags;
}

std::optional<pod::Pull> parse_pull(std::string_view text) {
  if (text == "never") return pod::Pull::kNever;
  if (text == "missing") return pod::Pull::kMissing;
  if (text == "newer") return pod::Pull::kNewer;
  if (text == "always") return pod::Pull::kAlways;
  return std::nullopt;
}

Status apply_config(std::string_view text, std::string_view what, Settings& settings) {
  ASSIGN_OR_RETURN(const toml::Document document, toml::parse(text, what));
  for (const auto& [name, value] : document) {
    const Entry entry(name, value, what);
    const Key* known = nullptr;
    std::vector<std::string_view> names;
    for (const Key& key : kKeys) {
      if (key.name == name) known = &key;
      names.push_back(key.name);
    }
    if (known == nullptr) {
      const std::string_view near = nearest(name, names);
      Error error = entry.error("is no setting");
      if (near.empty()) return error;
      return std::move(error).with_hint("did you mean " + std::string(near) + "?");
    }
    RETURN_IF_ERROR(known->apply(entry, settings));
  }
  return {};
}

Result<Settings> load_settings(const Args& args, std::span<const std::string_view> own_formats, bool templates) {
  Settings settings;
  settings.detach_keys = kDefaultDetachKeys;
  apply_user_directories(settings);
  RETURN_IF_ERROR(apply_file(args.last("config"), settings));
  if (const auto root = args.last("root")) {
    ASSIGN_OR_RETURN(settings.engine.root, absolute(*root, "--root"));
  }
  if (const auto run_root = args.last("run-root")) {
    ASSIGN_OR_RETURN(settings.engine.run_root, absolute(*run_root, "--run-root"));
  }
  if (const auto level = args.last("log-level")) {
    ASSIGN_OR_RETURN(settings.log.level, log::level_from_string(*level));
  }
  if (const auto format = args.last("log-format")) {
    ASSIGN_OR_RETURN(settings.log.format, log::format_from_string(*format));
  }
  for (const std::string& format : args.all("format")) {
    if (std::ranges::find(own_formats, format) != own_formats.end()) continue;
    if (FormatTemplate::is_one(format)) {
      if (templates) continue;
      return Error(Errc::kInvalidArgument, "--format: templates are for image ls, image inspect and ps")
          .with_hint("--format json has everything, for jq");
    }
    ASSIGN_OR_RETURN(settings.format, output_format_from_string(format));
  }
  return settings;
}

}  // namespace cooper::cli
