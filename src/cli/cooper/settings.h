// What holds for every verb: where things are, and how to speak. Flags win over the configuration file, which wins over
// the built-in values.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/cooper/args.h"
#include "cli/cooper/output.h"
#include "log/log.h"
#include "pod/pod.h"
#include "trust/store.h"

namespace cooper::cli {

// --root --run-root --config --log-level --log-format --format --help --version: known to every verb, before and after
// its name.
std::span<const Flag> global_flags();

// [registries]
struct RegistrySettings {
  std::vector<std::string> insecure;
  std::vector<std::pair<std::string, std::string>> mirrors;
  unsigned parallel = 3;
  unsigned stall_timeout_s = 60;
  std::string fetch_path;      // cooper-fetch; empty: found
  std::string signatures_dir;  // instead of registries.d; empty: found
};

// [trust]
struct TrustSettings {
  trust::TrustDirectories directories;
  std::string gpgv_path;  // empty: found
};

struct Settings {
  pod::EngineOptions engine;
  log::Options log;
  Format format = Format::kTable;
  // [containers]: defaults of run and pod run.
  std::optional<std::int64_t> pids_limit;
  std::optional<int> stop_timeout_ms;
  std::uint64_t log_max_bytes = 0;
  std::string network;  // empty: none
  std::string userns;   // as --userns takes it; empty: host
  std::string detach_keys;
  std::vector<std::string> ulimits;  // as --ulimit takes them
  std::optional<pod::Pull> pull;     // none: run fetches what is missing, pods fetch nothing
  RegistrySettings registries;
  TrustSettings trust;
  // paths.d: the administrator's, and the distribution's, of which a file counts when the first has none of its name.
  std::vector<std::string> paths_directories = {"/etc/cooper/paths.d", "/usr/lib/cooper/paths.d"};
  std::string signature_policy;                       // policy.json; empty: found
  image::Backend backend = image::Backend::kOverlay;  // [images]
};

// Whether root has started this process; its user then. A user namespace that it enters later makes no difference: what
// root reads must not hang on whose environment it runs in, and a user has files of their own.
bool caller_is_root();
uid_t caller_uid();

// never missing newer always
std::optional<pod::Pull> parse_pull(std::string_view text);

// Overlays the keys of a configuration file; an unknown key or a wrong type is an error that names file and line.
Status apply_config(std::string_view text, std::string_view what, Settings& settings);

// Built-in values, then the file (--config, else /etc/cooper/cooper.toml, else /usr/lib/cooper/cooper.toml), then
// flags.
// Values of --format among `own_formats` are the verb's, and so are templates for a verb that takes them.
Result<Settings> load_settings(const Args& args, std::span<const std::string_view> own_formats = {},
                               bool templates = false);

}  // namespace cooper::cli
