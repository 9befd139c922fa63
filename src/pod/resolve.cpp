#include "pod/resolve.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "base/strings.h"
#include "network/support_files.h"
#include "pod/id_maps.h"
#include "pod/layout.h"
#include "pod/names.h"
#include "stage1/security.h"
#include "sys/tables.h"

namespace cooper::pod {
namespace {

constexpr std::string_view kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr std::size_t kMaxApps = 63;  // what one monitor takes

// Sets K in a list of K=V, in place when it is there.
// "NAME=value" words: the last value of a name wins, in the place of the first. Images may bring very many.
class Environment {
 public:
  void set(std::string_view name, std::string_view value) {
    std::string entry(name);
    entry.append("=").append(value);
    const auto [place, added] = places_.try_emplace(std::string(name), words_.size());
    if (added) {
      words_.push_back(std::move(entry));
    } else {
      words_[place->second] = std::move(entry);
    }
  }
  void merge(const std::vector<std::string>& words) {
    for (const std::string& word : words) {
      const auto pair = split_once(word, '=');
      if (pair && !pair->first.empty()) set(pair->first, pair->second);
    }
  }
  std::vector<std::string> take() { return std::move(words_); }

 private:
  std::vector<std::string> words_;
  std::unordered_map<std::string, std::size_t> places_;
};

bool has_nul(const std::string& text) {
  return text.find('\0') != std::string::npos;
}

// No kernel interface can take a zero byte: the word would be cut silently.
Status check_words(const std::vector<std::string>& words, std::string_view what) {
  for (const std::string& word : words) {
    if (has_nul(word))
      return Error(Errc::kInvalidArgument, std::string(what) + " " + quoted(word) + " contains a zero byte");
  }
  return {};
}

Status check_app(const AppRequest& app) {
  if (app.image.empty()) return Error(Errc::kInvalidArgument, "an app needs an image");
  RETURN_IF_ERROR(check_words(app.args, "argument"));
  if (app.entrypoint) RETURN_IF_ERROR(check_words(*app.entrypoint, "entrypoint"));
  RETURN_IF_ERROR(check_words(app.env, "environment variable"));
  for (const std::string& word : app.env) {
    if (word.empty() || word[0] == '=')
      return Error(Errc::kInvalidArgument, "environment variable " + quoted(word) + " has no name");
  }
  if (!app.working_dir.empty() && app.working_dir[0] != '/') {
    return Error(Errc::kInvalidArgument, "working directory " + quoted(app.working_dir) + " must be an absolute path");
  }
  auto security = stage1::parse_security(app.security_opts);
  if (!security.ok()) return std::move(security).error();
  return {};
}

Result<int> resolve_stop_signal(const AppRequest& request, const oci_image::ImageConfig& image) {
  const std::string& text = request.stop_signal.empty() ? image.stop_signal : request.stop_signal;
  if (text.empty()) return 15;
  const auto number = sys::signal_from_name(text);
  if (!number) return Error(Errc::kInvalidArgument, "unknown stop signal " + quoted(text));
  return *number;
}

Result<stage1::Volume> resolve_mount(const VolumeMount& mount, int& next_volume) {
  stage1::Volume out;
  ASSIGN_OR_RETURN(out.destination, clean_path(mount.destination, "mount destination"));
  out.options = mount.options;
  out.tmpfs = mount.tmpfs;
  if (mount.tmpfs) return out;
  if (mount.source.empty()) {
    out.pod_volume = std::to_string(next_volume++);
    return out;
  }
  if (mount.source[0] != '/') {
    return Error(Errc::kUnsupported, "named volumes are not supported: " + quoted(mount.source))
        .with_hint("give the absolute path of a directory or file of the host");
  }
  out.source = mount.source;
  return out;
}

// VOLUMEs of the image on places that the user left alone.
Status add_image_volumes(const oci_image::ImageConfig& image, std::vector<stage1::Volume>& volumes, int& next_volume) {
  std::set<std::string> taken;
  for (const stage1::Volume& volume : volumes) taken.insert(volume.destination);
  for (const std::string& path : image.volumes) {
    stage1::Volume volume;
    ASSIGN_OR_RETURN(volume.destination, clean_path(path.starts_with('/') ? path : "/" + path, "volume of the image"));
    if (volume.destination == "/" || !taken.insert(volume.destination).second) continue;
    volume.pod_volume = std::to_string(next_volume++);
    volumes.push_back(std::move(volume));
  }
  return {};
}

// "registry/dir/name:tag@digest" -> "name"
std::string base_name(std::string_view reference) {
  reference = reference.substr(0, reference.find('@'));
  const std::size_t slash = reference.rfind('/');
  if (slash != std::string_view::npos) reference.remove_prefix(slash + 1);
  return std::string(reference.substr(0, reference.find(':')));
}

bool names_by_id(std::string_view reference, const image::Image& image) {
  if (reference.starts_with("sha256:") || reference.starts_with("sha512")) return true;
  return image.id.hex().starts_with(reference);
}

}  // namespace

Status check_request(const PodRequest& request) {
  if (request.apps.empty()) return Error(Errc::kInvalidArgument, "a pod needs at least one app");
  if (request.apps.size() > kMaxApps)
    return Error(Errc::kLimit, "a pod has at most " + std::to_string(kMaxApps) + " apps");
  if (request.single && request.apps.size() != 1) return Error(Errc::kInvalidArgument, "exactly one app is expected");
  if (!request.name.empty()) RETURN_IF_ERROR(check_name(request.name));
  if (!request.hostname.empty()) RETURN_IF_ERROR(network::check_hostname(request.hostname));
  if (request.user_namespace.kind == UserNamespace::Kind::kGiven) {
    RETURN_IF_ERROR(check_id_mappings(request.user_namespace.uids, "user"));
    RETURN_IF_ERROR(check_id_mappings(request.user_namespace.gids, "group"));
  }
  for (const AppRequest& app : request.apps) {
    Status checked = check_app(app);
    if (!checked.ok())
      return app.name.empty() ? std::move(checked) : std::move(checked).error().with("app " + quoted(app.name));
  }
  return {};
}

Result<std::string> choose_app_name(const AppRequest& request, const image::Image& image,
                                    const std::set<std::string>& taken) {
  const bool by_id = names_by_id(request.image, image);
  const std::string text =
      by_id ? (image.names.empty() ? "app" : base_name(image.names.front())) : base_name(request.image);
  return choose_app_name(request, text, taken);
}

Result<std::string> choose_app_name(const AppRequest& request, std::string_view base,
                                    const std::set<std::string>& taken) {
  if (!request.name.empty()) {
    ASSIGN_OR_RETURN(const AppName name, AppName::parse(request.name));
    if (taken.contains(name.str())) return Error(Errc::kInvalidArgument, "two apps are called " + quoted(name.str()));
    return name.str();
  }
  const std::string stem = AppName::sanitize(base).str();
  std::string name = stem;
  for (int number = 2; taken.contains(name); ++number) {
    const std::string suffix = "-" + std::to_string(number);
    name = AppName::sanitize(stem.substr(0, 63 - suffix.size())).str() + suffix;
  }
  return name;
}

std::string_view name_of_file(std::string_view path) {
  path.remove_prefix(path.rfind('/') + 1);
  const std::size_t dot = path.rfind('.');
  return dot == std::string_view::npos || dot == 0 ? path : path.substr(0, dot);
}

Result<std::vector<std::string>> resolve_args(const AppRequest& request, const oci_image::ImageConfig& image) {
  std::vector<std::string> out;
  const std::vector<std::string>* tail = &request.args;
  if (request.entrypoint) {
    // --entrypoint "" takes the image's away. Either way its CMD no longer fits.
    if (request.entrypoint->size() != 1 || !request.entrypoint->front().empty()) out = *request.entrypoint;
  } else {
    out = image.entrypoint;
    if (tail->empty()) tail = &image.cmd;
  }
  out.insert(out.end(), tail->begin(), tail->end());
  if (out.empty()) {
    return Error(Errc::kInvalidArgument, request.entrypoint
                                             ? "no command to run: --entrypoint '' drops the image's command as well"
                                             : "no command to run: the image names none")
        .with_hint("give one after the image");
  }
  if (out[0].empty()) return Error(Errc::kInvalidArgument, "the command to run is an empty word");
  return out;
}

std::vector<std::string> resolve_env(const AppRequest& request, const oci_image::ImageConfig& image,
                                     const std::string& hostname, const std::string& home) {
  Environment env;
  env.set("PATH", kDefaultPath);
  env.set("TERM", "xterm");
  env.set("container", "cooper");
  env.set("HOSTNAME", hostname);
  env.set("HOME", home.empty() ? "/" : home);
  env.merge(image.env);
  env.merge(request.env);
  return env.take();
}

Result<std::string> seccomp_file_of(const AppRequest& request) {
  ASSIGN_OR_RETURN(const stage1::Security security, stage1::parse_security(request.security_opts));
  return security.seccomp == stage1::Security::Seccomp::kFile ? security.seccomp_file : std::string();
}

Result<stage1::App> resolve_app(const AppRequest& request, const ImageFacts& image, const std::string& name,
                                const std::string& hostname, int& next_volume) {
  stage1::App app;
  app.name = name;
  ASSIGN_OR_RETURN(app.args, resolve_args(request, image.config));
  app.env = resolve_env(request, image.config, hostname, image.user.home);
  const std::string& cwd = request.working_dir.empty() ? image.config.working_dir : request.working_dir;
  app.working_dir = cwd.starts_with('/') ? cwd : "/" + cwd;
  app.uid = image.user.uid;
  app.gid = image.user.gid;
  app.additional_gids = image.user.additional_gids;
  ASSIGN_OR_RETURN(app.stop_signal, resolve_stop_signal(request, image.config));
  for (const VolumeMount& mount : request.mounts) {
    ASSIGN_OR_RETURN(stage1::Volume volume, resolve_mount(mount, next_volume));
    app.volumes.push_back(std::move(volume));
  }
  RETURN_IF_ERROR(add_image_volumes(image.config, app.volumes, next_volume));
  app.cap_add = request.cap_add;
  app.cap_drop = request.cap_drop;
  app.security_opts = request.security_opts;
  app.privileged = request.privileged;
  app.read_only = request.read_only;
  for (const Ulimit& limit : request.ulimits) app.ulimits.push_back({limit.name, limit.soft, limit.hard});
  app.memory_bytes = request.memory_bytes;
  app.memory_swap_bytes = request.memory_swap_bytes;
  app.cpus = request.cpus;
  app.cpu_shares = request.cpu_shares;
  app.cpuset_cpus = request.cpuset_cpus;
  app.pids_limit = request.pids_limit;
  app.terminal = request.terminal;
  app.stdin_open = request.stdin_open;
  app.init = request.init;
  app.annotations = request.annotations;
  return app;
}

}  // namespace cooper::pod
