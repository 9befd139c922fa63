#include "cli/cooper/run_request.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <climits>
#include <cmath>
#include <cstdlib>

#include "base/strings.h"
#include "cli/cooper/aci_fetch.h"
#include "cli/cooper/aci_run.h"
#include "cli/cooper/apptainer_words.h"
#include "cli/cooper/insecure_options.h"
#include "cli/cooper/time_text.h"
#include "cli/cooper/userns_words.h"
#include "container/lsm.h"
#include "io/file.h"
#include "spec/oci_image/platform.h"
#include "sys/tables.h"

namespace cooper::cli {

Error flag_error(std::string_view flag, std::string_view value, const std::string& why) {
  return Error(Errc::kInvalidArgument, "--" + std::string(flag) + " " + quoted(value) + ": " + why);
}

Status add_pairs(const Args& args, std::string_view flag, PairValue value, std::map<std::string, std::string>& out) {
  for (const std::string& text : args.all(flag)) {
    const auto pair = split_once(text, '=');
    if (!pair && value == PairValue::kRequired) return flag_error(flag, text, "must be NAME=VALUE");
    const std::string_view name = pair ? pair->first : std::string_view(text);
    if (name.empty()) return flag_error(flag, text, "the name is empty");
    out[std::string(name)] = pair ? pair->second : std::string_view{};
  }
  return {};
}

namespace {

constexpr std::size_t kMaxEnvFileBytes = std::size_t{4} << 20;
constexpr std::int64_t kSmallestMemory = 4096;

template <typename T>
Result<T> number_flag(std::string_view flag, const std::string& text, T least) {
  const auto n = parse_number<T>(text);
  if (!n || *n < least) return flag_error(flag, text, "must be a whole number, " + std::to_string(least) + " or more");
  return *n;
}

Result<std::int64_t> bytes_flag(std::string_view flag, const std::string& text) {
  auto bytes = parse_bytes(text);
  if (!bytes.ok()) return std::move(bytes).error().with("--" + std::string(flag));
  if (*bytes > static_cast<std::uint64_t>(INT64_MAX)) return flag_error(flag, text, "too large");
  return static_cast<std::int64_t>(*bytes);
}

Result<double> cpus_flag(std::string_view flag, const std::string& text) {
  double value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc{} || end != text.data() + text.size() || !std::isfinite(value) || value > 65536 ||
      (value < 0.01 && value != 0)) {
    return flag_error(flag, text, "must be a number of processors, 0.01 or more, or 0 for no limit");
  }
  return value;
}

Status add_env(const Args& args, std::string_view flag, const Surroundings& around, std::vector<std::string>& out) {
  for (const std::string& text : args.all(flag)) {
    const auto pair = split_once(text, '=');
    if (text.empty() || (pair && pair->first.empty())) return flag_error(flag, text, "the variable has no name");
    if (pair) {
      out.push_back(text);
    } else if (const auto value = around.environment(text)) {
      out.push_back(text + "=" + *value);
    }
  }
  return {};
}

Status add_env_files(const Args& args, std::string_view flag, const Surroundings& around,
                     std::vector<std::string>& out) {
  for (const std::string& path : args.all(flag)) {
    auto text = io::read_file(path, kMaxEnvFileBytes);
    if (!text.ok()) return std::move(text).error().with("--" + std::string(flag));
    ASSIGN_OR_RETURN(const std::vector<std::string> lines, parse_env_file(*text, path, around));
    out.insert(out.end(), lines.begin(), lines.end());
  }
  return {};
}

Status add_mounts(const Args& args, const Surroundings& around, pod::AppRequest& app) {
  for (const std::string& text : args.all("volume")) {
    ASSIGN_OR_RETURN(pod::VolumeMount mount, parse_volume(text, around.working_directory));
    app.mounts.push_back(std::move(mount));
  }
  for (const std::string& text : args.all("mount")) {
    if (text.starts_with("volume=") || text.find(",volume=") != std::string::npos)
      continue;  // rkt's; see add_rkt_mounts
    ASSIGN_OR_RETURN(pod::VolumeMount mount, parse_mount(text, around.working_directory));
    app.mounts.push_back(std::move(mount));
  }
  for (const std::string& text : args.all("tmpfs")) {
    ASSIGN_OR_RETURN(pod::VolumeMount mount, parse_tmpfs(text));
    app.mounts.push_back(std::move(mount));
  }
  return {};
}

Status set_limits(const Args& args, const Settings& settings, const Surroundings& around, pod::AppRequest& app) {
  if (const auto text = args.last("memory")) {
    if (text->starts_with('-')) return flag_error("memory", *text, "must not be negative; 0 means no limit");
    ASSIGN_OR_RETURN(const std::int64_t bytes, bytes_flag("memory", *text));
    if (bytes != 0 && bytes < kSmallestMemory) return flag_error("memory", *text, "less than 4 KiB");
    if (bytes != 0) app.memory_bytes = bytes;  // 0: no limit, as podman has it
  }
  if (const auto text = args.last("memory-swap")) {
    if (*text == "-1") {
      app.memory_swap_bytes = -1;
    } else {
      ASSIGN_OR_RETURN(app.memory_swap_bytes, bytes_flag("memory-swap", *text));
      if (!app.memory_bytes) return flag_error("memory-swap", *text, "needs --memory, too");
      if (*app.memory_swap_bytes < *app.memory_bytes)
        return flag_error("memory-swap", *text, "counts memory and swap together, so it cannot be below --memory");
    }
  }
  for (const std::string_view flag : {"cpus", "cpu"}) {
    if (const auto text = args.last(flag)) {
      ASSIGN_OR_RETURN(const double cpus, cpus_flag(flag, *text));
      app.cpus = cpus == 0 ? std::nullopt : std::optional(cpus);
    }
  }
  if (const auto text = args.last("cpu-shares")) {
    ASSIGN_OR_RETURN(app.cpu_shares, number_flag<std::int64_t>("cpu-shares", *text, 2));
  }
  app.cpuset_cpus = args.last("cpuset-cpus").value_or("");
  if (!app.cpuset_cpus.empty())
    RETURN_IF_ERROR(check_processors(app.cpuset_cpus, around.processors ? around.processors() : ""));
  app.pids_limit = settings.pids_limit;
  app.backend = settings.backend;
  if (const auto text = args.last("rootfs-backend")) {
    auto backend = image::backend_from_string(*text);
    if (!backend.ok()) return std::move(backend).error().with("--rootfs-backend");
    app.backend = *backend;
  }
  if (const auto text = args.last("pids-limit")) {
    ASSIGN_OR_RETURN(app.pids_limit, number_flag<std::int64_t>("pids-limit", *text, -1));
    if (*app.pids_limit == 0) app.pids_limit = -1;  // docker's word for no limit
  }
  std::vector<std::string> limits = settings.ulimits;
  for (std::string& text : args.all("ulimit")) limits.push_back(std::move(text));
  for (const std::string& text : limits) {
    ASSIGN_OR_RETURN(pod::Ulimit limit, parse_ulimit(text));
    const auto known = std::ranges::find(app.ulimits, limit.name, &pod::Ulimit::name);
    if (known == app.ulimits.end()) {
      app.ulimits.push_back(std::move(limit));
    } else {
      *known = std::move(limit);
    }
  }
  return {};
}

Status add_capability_list(const Args& args, std::string_view flag, std::vector<std::string>& out) {
  for (const std::string& list : args.all(flag)) {
    for (const std::string_view name : split(list, ',')) {
      if (to_lower(name) != "all" && !sys::capability_from_name(name))
        return flag_error(flag, name, "no such capability");
      out.push_back(to_lower(name) == "all" ? "ALL" : std::string(name));
    }
  }
  return {};
}

// --insecure-options of rkt: what they name is left out. What flags of ours say comes later, and is stronger.
Status waive_confinement(const Args& args, pod::AppRequest& app) {
  ASSIGN_OR_RETURN(const InsecureOptions insecure, insecure_options(args, Doing::kRun));
  if (insecure.capabilities && app.cap_add.empty() && app.cap_drop.empty()) app.cap_add.emplace_back("ALL");
  std::vector<std::string> words;
  if (insecure.seccomp) words.emplace_back("seccomp=unconfined");
  if (insecure.paths) words.emplace_back("unmask=ALL");
  app.security_opts.insert(app.security_opts.begin(), words.begin(), words.end());
  return {};
}

Status set_privileges(const Args& args, const Surroundings& around, pod::AppRequest& app) {
  app.privileged = args.enabled("privileged");
  RETURN_IF_ERROR(add_capability_list(args, "cap-add", app.cap_add));
  RETURN_IF_ERROR(add_capability_list(args, "cap-drop", app.cap_drop));
  app.security_opts = args.all("security-opt");
  RETURN_IF_ERROR(waive_confinement(args, app));
  for (const std::string& word : app.security_opts) {
    const bool profile = (word.starts_with("apparmor=") || word.starts_with("apparmor:")) && word.size() > 9 &&
                         word.substr(9) != "unconfined";
    if (profile && around.apparmor && !around.apparmor())
      return flag_error("security-opt", word, "AppArmor is not enabled on this machine");
  }
  app.read_only = args.enabled("read-only") || args.enabled("readonly-rootfs");
  return {};
}

Status set_process(const Args& args, const Surroundings& around, pod::AppRequest& app) {
  RETURN_IF_ERROR(add_env_files(args, "env-file", around, app.env));
  RETURN_IF_ERROR(add_env(args, "env", around, app.env));
  if (const auto text = args.last("entrypoint")) {
    auto entrypoint = parse_entrypoint(*text);
    if (!entrypoint.ok()) return flag_error("entrypoint", *text, entrypoint.error().message());
    app.entrypoint = std::move(*entrypoint);
  }
  app.working_dir = args.last("workdir").value_or("");
  if (!app.working_dir.empty() && app.working_dir[0] != '/')
    return flag_error("workdir", app.working_dir, "must be an absolute path");
  app.user = args.last("user").value_or("");
  app.terminal = args.enabled("tty");
  app.stdin_open = args.enabled("interactive");
  app.init = args.enabled("init");
  if (const auto text = args.last("stop-signal")) {
    if (!sys::signal_from_name(*text)) return flag_error("stop-signal", *text, "no such signal");
    app.stop_signal = *text;
  }
  RETURN_IF_ERROR(add_pairs(args, "label", PairValue::kOptional, app.labels));
  RETURN_IF_ERROR(add_pairs(args, "annotation", PairValue::kRequired, app.annotations));
  return {};
}

Result<pod::Pull> pull_policy(const Args& args, pod::Pull otherwise) {
  ASSIGN_OR_RETURN(const auto by_rkt, pull_policy_flags(args));
  if (by_rkt) return *by_rkt;
  const auto text = args.last("pull");
  if (!text) return otherwise;
  const auto policy = parse_pull(*text);
  if (!policy) return flag_error("pull", *text, "must be never, missing, newer or always");
  return *policy;
}

Result<pod::AppRequest> app_request(const Args& args, const Settings& settings, const Surroundings& around) {
  pod::AppRequest app;
  RETURN_IF_ERROR(set_process(args, around, app));
  RETURN_IF_ERROR(add_mounts(args, around, app));
  RETURN_IF_ERROR(set_limits(args, settings, around, app));
  RETURN_IF_ERROR(set_privileges(args, around, app));
  return app;
}

Status set_network(const Args& args, const Settings& settings, pod::PodRequest& request) {
  std::string word = settings.network.empty() ? "none" : settings.network;
  for (const std::string_view flag : {"net", "network"}) {
    if (const auto text = args.last(flag)) word = *text;
  }
  if (word == "none") {
    request.network = pod::Network::kNone;
  } else if (word == "host") {
    request.network = pod::Network::kHost;
  } else {
    return Error(Errc::kUnsupported, "network " + quoted(word) + " is not supported")
        .with_hint("use none (a loopback only) or host");
  }
  return {};
}

Result<pod::PodRequest> sandbox_request(const Args& args, const Settings& settings) {
  pod::PodRequest request;
  request.name = args.last("name").value_or("");
  request.hostname = args.last("hostname").value_or("");
  if (request.hostname.size() > 64) return flag_error("hostname", request.hostname, "longer than 64 bytes");
  RETURN_IF_ERROR(set_network(args, settings, request));
  ASSIGN_OR_RETURN(request.user_namespace, user_namespace_flags(args, settings.userns));
  request.remove_on_exit = args.enabled("rm");
  request.log_max_bytes = settings.log_max_bytes;
  if (const auto text = args.last("log-max-size")) {
    ASSIGN_OR_RETURN(const std::int64_t bytes, bytes_flag("log-max-size", *text));
    request.log_max_bytes = static_cast<std::uint64_t>(bytes);
  }
  if (settings.stop_timeout_ms) request.stop_timeout_ms = *settings.stop_timeout_ms;
  if (const auto text = args.last("stop-timeout")) {
    ASSIGN_OR_RETURN(request.stop_timeout_ms, parse_timeout_ms("--stop-timeout", *text));
  }
  return request;
}

// rkt: volumes are named once for the pod and mounted by name.
using RktVolumes = std::map<std::string, pod::VolumeMount>;

Result<RktVolumes> rkt_volumes(const Args& args) {
  RktVolumes volumes;
  for (const std::string& text : args.all("volume")) {
    const auto parts = split(text, ',');
    pod::VolumeMount volume;
    std::string kind;
    for (std::size_t i = 1; i < parts.size(); ++i) {
      const auto pair = split_once(parts[i], '=');
      if (!pair) return flag_error("volume", text, quoted(parts[i]) + " is not of the form KEY=VALUE");
      if (pair->first == "kind") {
        kind = pair->second;
      } else if (pair->first == "source") {
        volume.source = pair->second;
      } else if (pair->first == "readOnly") {
        const auto on = parse_field_switch(pair->second);
        if (!on) return flag_error("volume", text, "readOnly takes true or false, not " + quoted(pair->second));
        if (*on) volume.options.emplace_back("ro");
      } else if (pair->first == "recursive") {
        const auto on = parse_field_switch(pair->second);
        if (!on) return flag_error("volume", text, "recursive takes true or false, not " + quoted(pair->second));
        volume.options.emplace_back(*on ? "rbind" : "bind");
      } else {
        return flag_error("volume", text, "unknown field " + quoted(pair->first));
      }
    }
    if (kind == "empty") {
      return Error(Errc::kUnsupported, "--volume " + quoted(text) + ": volumes of kind empty are not supported")
          .with_hint("use kind=host, or -v TARGET after an image");
    }
    if (kind != "host") return flag_error("volume", text, "the kind must be host");
    if (!volume.source.starts_with('/')) return flag_error("volume", text, "the source must be an absolute path");
    if (!volumes.emplace(std::string(parts[0]), std::move(volume)).second)
      return flag_error("volume", text, "duplicate volume name");
  }
  return volumes;
}

Status add_rkt_mounts(const Args& args, const RktVolumes& volumes, pod::AppRequest& app) {
  for (const std::string& text : args.all("mount")) {
    std::string name;
    std::string target;
    bool other = false;
    for (const std::string_view field : split(text, ',')) {
      const auto pair = split_once(field, '=');
      if (pair && pair->first == "volume") {
        name = pair->second;
      } else if (pair && pair->first == "target") {
        target = pair->second;
      } else {
        other = true;
      }
    }
    if (name.empty()) continue;  // podman's; see add_mounts
    if (other || !target.starts_with('/')) return flag_error("mount", text, "not of the form volume=NAME,target=PATH");
    const auto volume = volumes.find(name);
    if (volume == volumes.end()) return flag_error("mount", text, "there is no --volume " + quoted(name));
    pod::VolumeMount mount = volume->second;
    mount.destination = target;
    app.mounts.push_back(std::move(mount));
  }
  return {};
}

Status apply_rkt_flags(const Args& args, const Surroundings& around, pod::AppRequest& app) {
  app.name = args.last("name").value_or("");
  if (const auto exec = args.last("exec")) app.entrypoint = std::vector<std::string>{*exec};
  if (const auto directory = args.last("working-dir")) app.working_dir = *directory;
  if (const auto group = args.last("group")) {
    if (app.user.find(':') != std::string::npos) return flag_error("group", *group, "--user names a group already");
    app.user = (app.user.empty() ? "0" : app.user) + ":" + *group;
  }
  RETURN_IF_ERROR(add_env_files(args, "set-env-file", around, app.env));
  RETURN_IF_ERROR(add_env(args, "environment", around, app.env));
  RETURN_IF_ERROR(add_env(args, "set-env", around, app.env));
  RETURN_IF_ERROR(add_pairs(args, "user-annotation", PairValue::kRequired, app.annotations));
  RETURN_IF_ERROR(add_pairs(args, "user-label", PairValue::kOptional, app.labels));
  std::vector<std::string> retained;
  for (const std::string_view flag : {"caps-retain", "cap-retain"})
    RETURN_IF_ERROR(add_capability_list(args, flag, retained));
  const std::size_t dropped_before = app.cap_drop.size();
  for (const std::string_view flag : {"caps-remove", "cap-remove"})
    RETURN_IF_ERROR(add_capability_list(args, flag, app.cap_drop));
  if (!retained.empty()) {
    if (app.cap_drop.size() != dropped_before)
      return Error(Errc::kInvalidArgument, "--caps-retain and --caps-remove cannot be given together");
    app.cap_drop.emplace_back("ALL");
    app.cap_add.insert(app.cap_add.end(), retained.begin(), retained.end());
  }
  return {};
}

constexpr std::string_view kCommandAfterDashes =
    "every word here names an image; a command goes after --: cooper pod run busybox -- true";

// What stands before the first image holds for every app.
struct PodWide {
  RktVolumes volumes;
  std::vector<std::string> env;
  const Args& args;
  pod::Pull pull;
};

// One stretch between "---": IMAGE flags [IMAGE flags ...] [-- ARG...]
Status add_apps(std::span<const std::string> words, const PodWide& wide, const Settings& settings,
                const Surroundings& around, pod::PodRequest& request, std::vector<std::string>& signatures) {
  const std::array<std::span<const Flag>, 2> tables = {rkt_app_flags(), app_flags()};
  std::vector<std::string> rest(words.begin(), words.end());
  while (!rest.empty()) {
    const std::string image = rest.front();
    if (image == "--" || image.starts_with("-"))
      return Error(Errc::kInvalidArgument, "expected an image, not " + quoted(image));
    auto parsed = parse_args(tables, std::span(rest).subspan(1), Order::kBeforeArguments);
    if (!parsed.ok()) {
      Error error = std::move(parsed).error().with("image " + quoted(image));
      if (rest.size() == words.size()) return error;
      return std::move(error).with_hint(std::string(kCommandAfterDashes));
    }
    auto app = app_request(*parsed, settings, around);
    if (!app.ok()) return std::move(app).error().with("image " + quoted(image));
    ASSIGN_OR_RETURN(app->image, image_word(image));
    // Here every word names an image: a command that stands where it must not would be fetched and run.
    ASSIGN_OR_RETURN(app->pull, pull_policy(*parsed, wide.pull));
    app->env.insert(app->env.begin(), wide.env.begin(), wide.env.end());
    RETURN_IF_ERROR(add_rkt_mounts(wide.args, wide.volumes, *app));
    RETURN_IF_ERROR(add_rkt_mounts(*parsed, wide.volumes, *app));
    RETURN_IF_ERROR(apply_rkt_flags(*parsed, around, *app));
    RETURN_IF_ERROR(waive_confinement(wide.args, *app));
    rest = parsed->positional();
    if (parsed->ended_by_dashes()) {
      app->args = std::move(rest);
      rest.clear();
    }
    request.apps.push_back(std::move(app).value());
    signatures.push_back(parsed->last("signature").value_or(""));
  }
  return {};
}

}  // namespace

Error explain_image(Error error, const pod::PodRequest& request) {
  const auto& apps = request.apps;
  for (std::size_t i = 1; i < apps.size(); ++i) {
    const bool follows = apps[i - 1].args.empty() && apps[i].image.find_first_of("/:@") == std::string::npos;
    if (follows && error.message().find("image " + quoted(apps[i].image)) != std::string::npos)
      return std::move(error).with_hint(std::string(kCommandAfterDashes));
  }
  return error;
}

Surroundings real_surroundings() {
  Surroundings around;
  around.environment = [](const std::string& name) -> std::optional<std::string> {
    const char* value = ::secure_getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  };
  std::array<char, PATH_MAX> buffer{};
  around.processors = [] { return io::read_file("/sys/devices/system/cpu/online", 4096).value_or(""); };
  around.apparmor = container::apparmor_enabled;
  // Empty: it has been removed. Nothing relative can be meant then, least of all something below "/".
  if (::getcwd(buffer.data(), buffer.size()) != nullptr) around.working_directory = buffer.data();
  return around;
}

Result<pod::PodRequest> run_request(const Args& args, const Settings& settings, const Surroundings& around) {
  ASSIGN_OR_RETURN(pod::PodRequest request, sandbox_request(args, settings));
  ASSIGN_OR_RETURN(pod::AppRequest app, app_request(args, settings, around));
  request.single = true;
  ASSIGN_OR_RETURN(app.image, image_word(args.positional().front()));
  RETURN_IF_ERROR(add_apptainer_words(args, around.working_directory, app));
  ASSIGN_OR_RETURN(app.pull, pull_policy(args, settings.pull.value_or(pod::Pull::kMissing)));
  if (const auto text = args.last("platform")) {
    auto platform = oci_image::parse_platform(*text);
    if (!platform.ok()) return std::move(platform).error().with("--platform");
    app.platform = std::move(*platform);
  }
  app.args.assign(args.positional().begin() + 1, args.positional().end());
  request.labels = app.labels;
  request.annotations = app.annotations;
  request.apps.push_back(std::move(app));
  return request;
}

Result<pod::PodRequest> pod_request(const Args& args, const Settings& settings, const Surroundings& around,
                                    std::vector<std::string>* signatures) {
  std::vector<std::string> unheard;
  if (signatures == nullptr) signatures = &unheard;
  ASSIGN_OR_RETURN(pod::PodRequest request, sandbox_request(args, settings));
  RETURN_IF_ERROR(add_pairs(args, "label", PairValue::kOptional, request.labels));
  RETURN_IF_ERROR(add_pairs(args, "annotation", PairValue::kRequired, request.annotations));
  PodWide wide{{}, {}, args, settings.pull.value_or(pod::Pull::kNever)};
  ASSIGN_OR_RETURN(wide.pull, pull_policy(args, wide.pull));
  ASSIGN_OR_RETURN(wide.volumes, rkt_volumes(args));
  RETURN_IF_ERROR(add_env_files(args, "set-env-file", around, wide.env));
  RETURN_IF_ERROR(add_env(args, "set-env", around, wide.env));
  const std::span<const std::string> words = args.positional();
  std::size_t start = 0;
  for (std::size_t i = 0; i <= words.size(); ++i) {
    if (i < words.size() && words[i] != "---") continue;
    if (start == i) {
      const std::string where = start == 0 ? "before the first" : i == words.size() ? "after the last" : "between two";
      return Error(Errc::kInvalidArgument, "there is no image " + where + " '---'")
          .with_hint("--- stands between an app and the image of the next");
    }
    RETURN_IF_ERROR(add_apps(words.subspan(start, i - start), wide, settings, around, request, *signatures));
    start = i + 1;
  }
  return request;
}

}  // namespace cooper::cli
