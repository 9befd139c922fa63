#include "pod/prepare.h"

#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "io/file.h"
#include "io/full_disk.h"
#include "io/root_dir.h"
#include "log/log.h"
#include "log/steps.h"
#include "network/support_files.h"
#include "pod/aci_app.h"
#include "pod/id_maps.h"
#include "pod/id_ranges.h"
#include "pod/mend.h"
#include "pod/names.h"
#include "pod/remove.h"
#include "pod/resolve.h"
#include "pod/rootfs.h"
#include "pod/volumes.h"
#include "spec/appc/parse.h"
#include "spec/oci_image/platform.h"
#include "spec/oci_image/print.h"
#include "spec/oci_image/reference.h"
#include "spec/oci_runtime/id_maps.h"
#include "stage1/seccomp_file.h"
#include "sys/file.h"

namespace cooper::pod {
namespace {

std::int64_t unix_ms() {
  struct timespec now = {};
  (void)::clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

Result<std::string> choose_hostname(const PodRequest& request, const PodUuid& uuid) {
  if (!request.hostname.empty()) return request.hostname;
  if (request.network == Network::kHost) return network::host_name();
  if (!request.single && !request.name.empty() && network::check_hostname(request.name).ok()) return request.name;
  std::string digits;
  for (const char c : uuid.str()) {
    if (c != '-' && digits.size() < 12) digits += c;
  }
  return digits;
}

Result<PodManifest> start_manifest(const PodRequest& request, const PodUuid& uuid) {
  PodManifest out{uuid,
                  request.name,
                  {},
                  request.network,
                  request.single,
                  request.remove_on_exit,
                  unix_ms(),
                  request.stop_timeout_ms,
                  request.log_max_bytes,
                  request.labels,
                  request.annotations,
                  {},
                  {}};
  ASSIGN_OR_RETURN(out.hostname, choose_hostname(request, uuid));
  return out;
}

// Why programs of the image may not run here; empty when they should.
std::string foreign_platform(const oci_image::ImageConfig& config) {
  oci_image::Platform host = oci_image::host_platform();
  if (oci_image::match_configured(host, config.platform)) return {};
  const oci_image::Platform image = oci_image::normalize(config.platform);
  if (image.architecture == host.architecture && (image.os.empty() || image.os == host.os)) {
    // Which variants this processor has is known of amd64 alone, and asking it takes time.
    host = oci_image::machine_platform();
    if (host.architecture != "amd64" || oci_image::match_platform(host, image)) return {};
  }
  return "is for " + oci_image::to_string(image) + ", this machine is " + oci_image::to_string(host);
}

// Words that cannot be in a registry: names of this machine only, and ids.
bool only_here(const std::string& word) {
  if (image::Store::names_an_id(word)) return true;
  const auto reference = oci_image::parse_reference(word);
  return !reference.ok() || reference->registry == oci_image::kLocalRegistry;
}

// The store has none of that name.
Result<image::Image> fetch_missing(image::Store& store, const AppRequest& app, const FetchImage& fetch, Error missing) {
  if (only_here(app.image)) return missing;
  const std::string similar = join(store.similar_names(app.image), " or ");
  const auto hint = [&](Error error) {
    return similar.empty() ? std::move(error) : std::move(error).with_hint("did you mean " + similar + "?");
  };
  if (!fetch || app.pull == Pull::kNever)
    return hint(std::move(missing).with_hint("cooper image pull fetches it, cooper image load reads an archive"));
  auto fetched = fetch(store, app.image, Fetch::kImage);
  if (fetched.ok()) return fetched;
  return hint(std::move(fetched).error().with(missing.message()));
}

// The store has one of that name for another platform.
Result<image::Image> fetch_other(image::Store& store, const AppRequest& app, const FetchImage& fetch,
                                 const std::string& name, const oci_image::Platform& found) {
  const std::string wanted = oci_image::to_string(*app.platform);
  Error other(Errc::kNotFound, "image " + quoted(app.image) + " is for " + oci_image::to_string(found) +
                                   " in the store, not for " + wanted);
  if (only_here(name)) return other;
  if (!fetch || app.pull == Pull::kNever)
    return std::move(other).with_hint("cooper image pull --platform " + wanted + " fetches that one");
  auto fetched = fetch(store, name, Fetch::kImage);
  if (fetched.ok()) return fetched;
  return std::move(fetched).error().with(other.message());
}

// A file that is there and is called like an archive of images.
bool is_archive(const std::string& word) {
  const bool called_so = std::ranges::any_of(std::array<std::string_view, 4>{".aci", ".tar", ".tar.gz", ".tgz"},
                                             [&](std::string_view end) { return word.ends_with(end); });
  if (!called_so) return false;
  const auto info = sys::fstatat(sys::kCwd, word, 0);
  return info.ok() && S_ISREG(info->st_mode);
}

// A short word may name an image of this machine or of a registry: what is fetched is what the store knows under it,
// never a namesake. A digest names bytes, of which there are no newer ones.
Result<image::Image> find_image(image::Store& store, const AppRequest& app, const FetchImage& fetch) {
  auto found = store.find_named(app.image);
  // Nobody who has such a file here means an image of a registry.
  const bool unknown =
      !found.ok() && (found.error().code() == Errc::kNotFound || found.error().code() == Errc::kInvalidArgument);
  if (unknown && image::is_image_file(app.image))
    return Error(Errc::kNotFound, "image " + quoted(app.image) + " is not in the store")
        .with_hint("did you mean ./" + app.image + "?");
  if (unknown && is_archive(app.image))
    return Error(Errc::kNotFound, "image " + quoted(app.image) + " is not in the store")
        .with_hint("there is a file of that name: cooper image load " + app.image + " says what its image is called");
  if (!found.ok() && found.error().code() == Errc::kNotFound)
    return fetch_missing(store, app, fetch, std::move(found).error());
  if (!found.ok()) return std::move(found).error();
  auto& [image, name] = *found;
  if (app.platform) {
    ASSIGN_OR_RETURN(const oci_image::ImageConfig config, store.config(image));
    if (!oci_image::match_configured(*app.platform, config.platform))
      return fetch_other(store, app, fetch, name.value_or(app.image), config.platform);
  }
  if (!fetch || app.pull == Pull::kNever || app.pull == Pull::kMissing) return std::move(image);
  if (!name) {
    const bool by_digest = app.image.find('@') != std::string::npos;
    if (app.pull == Pull::kNewer || by_digest) return std::move(image);
    return Error(Errc::kInvalidArgument, "image " + quoted(app.image) + " is named by its id, which no registry knows")
        .with_hint("it cannot be pulled: use --pull missing, or name the image");
  }
  if (only_here(*name)) {
    if (app.pull == Pull::kNewer) return std::move(image);
    return Error(Errc::kInvalidArgument, "image " + quoted(*name) + " has a name of this machine only")
        .with_hint("it cannot be pulled: use --pull missing");
  }
  auto fetched = fetch(store, *name, Fetch::kImage);
  if (fetched.ok() || app.pull == Pull::kAlways) return fetched;
  log::warning(fetched.error().message() + "; image " + quoted(*name) + " is used as it is here");
  return std::move(image);
}

Error in_app(Error error, const AppRequest& app, bool single) {
  if (single) return error;
  return std::move(error).with("app " + quoted(app.name.empty() ? app.image : app.name));
}

// One of each app; none: it names a file. Before anything of the pod is made, because a fetch takes long, and a signal
// meanwhile ends the process.
using FoundImages = std::vector<std::optional<image::Image>>;
Result<FoundImages> find_images(image::Store& store, const PodRequest& request, const FetchImage& fetch) {
  FoundImages out;
  for (const AppRequest& app : request.apps) {
    if (image::names_file(app.image)) {
      out.emplace_back();
      continue;
    }
    auto image = find_image(store, app, fetch);
    if (!image.ok()) return in_app(std::move(image).error(), app, request.single);
    out.emplace_back(std::move(*image));
  }
  return out;
}

// One app: image, tree, user, decisions.
class AppPreparer {
 public:
  AppPreparer(const EngineOptions& options, image::Store& store, PodManifest& manifest)
      : options_(options), store_(store), manifest_(manifest) {}

  Status add(const AppRequest& request, const std::optional<image::Image>& image) {
    Status added = add_app(request, image);
    if (!added.ok()) return in_app(std::move(added).error(), request, manifest_.single);
    return {};
  }
  // Trees registered for the pod so far, also by an add() that failed.
  const std::set<std::string>& chains() const { return chains_; }
  // Why the last add() failed: bytes of the image in the store are damaged or missing.
  bool image_damaged() const { return image_damaged_; }

  // The roots of the apps' images, in their order.
  const std::vector<UniqueFd>& roots() const { return roots_; }

 private:
  // An image that was found, and can be read.
  struct Source {
    std::string app_name;
    std::string image_id;
    oci_image::ImageConfig config;
    Base base;
  };

  Status add_app(const AppRequest& request, const std::optional<image::Image>& image) {
    ASSIGN_OR_RETURN(Source source, image ? from_store(request, *image) : from_file(request));
    const oci_image::ImageConfig& config = source.config;
    ASSIGN_OR_RETURN(const image::ResolvedUser user,
                     image::resolve_user(source.base.dir, request.user.empty() ? config.user : request.user));
    AppManifest entry;
    ASSIGN_OR_RETURN(entry.app,
                     resolve_app(request, {config, user}, source.app_name, manifest_.hostname, next_volume_));
    if (image && image->aci) RETURN_IF_ERROR(add_aci(request, *image, entry.app));
    RETURN_IF_ERROR(check_mapped(entry.app, manifest_.id_maps));
    ASSIGN_OR_RETURN(entry.app.seccomp_profile, read_profile(request));
    use_base(source.base, entry.app);
    entry.image = request.image;
    entry.image_id = std::move(source.image_id);
    entry.chain = std::move(source.base.chain);
    entry.labels = config.labels;
    for (const auto& [key, value] : request.labels) entry.labels[key] = value;
    manifest_.apps.push_back(std::move(entry));
    roots_.push_back(std::move(source.base.dir));
    return {};
  }

  Status add_aci(const AppRequest& request, const image::Image& image, stage1::App& app) const {
    ASSIGN_OR_RETURN(std::string text, store_.aci_manifest_bytes(image));
    ASSIGN_OR_RETURN(const auto manifest, appc::parse_image_manifest(std::move(text), "image manifest"));
    if (!manifest.app) return {};
    ASSIGN_OR_RETURN(const auto without_effect, apply_aci_app(*manifest.app, request, app));
    if (!without_effect.empty())
      log::warning("image " + quoted(request.image) +
                   " asks for what has no effect here: " + join(without_effect, ", "));
    return {};
  }

  Result<Source> from_store(const AppRequest& request, const image::Image& image) {
    Source out;
    auto config = store_.config(image);
    if (!config.ok()) return unreadable(std::move(config).error());
    out.config = std::move(*config);
    warn_of_platform(request, out.config);
    ASSIGN_OR_RETURN(out.app_name, choose_app_name(request, image, taken_));
    taken_.insert(out.app_name);
    out.image_id = image.id.str();
    auto base = open_base(store_, image, request.backend, manifest_.uuid.str(), chains_);
    if (!base.ok()) return unreadable(std::move(base).error());
    out.base = std::move(*base);
    return out;
  }

  Error unreadable(Error error) {
    image_damaged_ = error.code() == Errc::kCorrupt;
    return error;
  }

  Result<Source> from_file(const AppRequest& request) {
    Source out;
    ASSIGN_OR_RETURN(const image::FileImage file, image::open_file_image(request.image));
    if (options_.admit_file) RETURN_IF_ERROR(options_.admit_file(file));
    ASSIGN_OR_RETURN(out.app_name, choose_app_name(request, name_of_file(request.image), taken_));
    taken_.insert(out.app_name);
    ASSIGN_OR_RETURN(out.base, open_base(file, request.backend));
    ASSIGN_OR_RETURN(out.config, image::file_image_config(file, out.base.dir, !request.args.empty()));
    warn_of_platform(request, out.config);
    return out;
  }

  static void warn_of_platform(const AppRequest& request, const oci_image::ImageConfig& config) {
    if (const std::string why = foreign_platform(config); !why.empty())
      log::warning("image " + quoted(request.image) + " " + why);
  }

  static Result<std::string> read_profile(const AppRequest& request) {
    ASSIGN_OR_RETURN(const std::string path, seccomp_file_of(request));
    if (path.empty()) return std::string();
    auto text = io::read_file(path, stage1::kMaxProfileBytes);
    if (!text.ok()) return std::move(text).error().with("seccomp profile");
    return text;
  }

  const EngineOptions& options_;
  image::Store& store_;
  PodManifest& manifest_;
  std::set<std::string> taken_;
  std::set<std::string> chains_;
  std::vector<UniqueFd> roots_;
  int next_volume_ = 0;
  bool image_damaged_ = false;
};

// Sources must exist: a directory made by us would hide a misspelled path.
Status prepare_source(const stage1::App& app, const stage1::Volume& volume, const stage1::IdMaps& maps) {
  auto info = sys::fstatat(sys::kCwd, volume.source, 0);
  if (!info.ok()) {
    return std::move(info)
        .error()
        .with("volume on " + quoted(volume.destination))
        .with_hint("make the directory first");
  }
  for (const std::string& word : volume.options) {
    if (word != "U") continue;
    RETURN_IF_ERROR(give_to_user(volume.source, oci::host_id(maps.uids, app.uid).value_or(app.uid),
                                 oci::host_id(maps.gids, app.gid).value_or(app.gid)));
  }
  return {};
}

Status prepare_volumes(BorrowedFd pod_dir, const PodManifest& manifest, const std::vector<UniqueFd>& roots) {
  UniqueFd volumes;
  for (std::size_t i = 0; i < manifest.apps.size(); ++i) {
    const stage1::App& app = manifest.apps[i].app;
    for (const stage1::Volume& volume : app.volumes) {
      if (volume.tmpfs) continue;
      if (volume.pod_volume.empty()) {
        RETURN_IF_ERROR(prepare_source(app, volume, manifest.id_maps));
        continue;
      }
      if (!volumes) {
        RETURN_IF_ERROR(sys::mkdirat(pod_dir, kVolumesDir, 0711));
        ASSIGN_OR_RETURN(volumes, sys::openat(pod_dir, kVolumesDir, O_RDONLY | O_DIRECTORY));
      }
      ASSIGN_OR_RETURN(UniqueFd root, sys::dup_cloexec(roots[i]));
      RETURN_IF_ERROR(make_volume(volumes, volume, io::RootDir::adopt(std::move(root)), manifest.id_maps));
    }
  }
  return {};
}

// A plain write: in prepare/ nobody takes an unfinished manifest for a pod's.
Status write_manifest(BorrowedFd pod_dir, const PodManifest& manifest) {
  ASSIGN_OR_RETURN(const UniqueFd file, sys::openat(pod_dir, kManifestFile, O_WRONLY | O_CREAT | O_EXCL, 0600));
  Status written = sys::write_all(file, print_manifest(manifest));
  if (!written.ok()) return std::move(written).error().with("write pod manifest");
  return {};
}

Status fill_pod(const EngineOptions& options, const PodRequest& request, image::Store& store, const FoundImages& images,
                OpenPod& pod, PodManifest& manifest, std::optional<std::size_t>& damaged) {
  const Layout layout(options);
  // An early name finds out early that it is taken; a default one needs the app's name.
  if (!manifest.name.empty()) RETURN_IF_ERROR(take_name(layout, manifest.name, pod.uuid));
  ASSIGN_OR_RETURN(manifest.id_maps, take_id_maps(layout, request.user_namespace, pod.uuid));
  AppPreparer preparer(options, store, manifest);
  for (std::size_t i = 0; i < images.size(); ++i) {
    Status added = preparer.add(request.apps[i], images[i]);
    if (preparer.image_damaged()) damaged = i;
    RETURN_IF_ERROR(std::move(added));
  }
  if (manifest.name.empty()) {
    manifest.name = default_name(manifest.apps.front().app.name, pod.uuid);
    RETURN_IF_ERROR(take_name(layout, manifest.name, pod.uuid));
  }
  RETURN_IF_ERROR(sys::mkdirat(pod.dir, kLogsDir, 0700));
  RETURN_IF_ERROR(sys::mkdirat(pod.dir, kStatusDir, 0700));
  for (std::size_t i = 0; i < manifest.apps.size(); ++i)
    RETURN_IF_ERROR(make_root(pod.dir, manifest.apps[i].app, preparer.roots()[i], manifest.id_maps));
  RETURN_IF_ERROR(prepare_volumes(pod.dir, manifest, preparer.roots()));
  return write_manifest(pod.dir, manifest);
}

// `damaged`: the number of the image because of whose bytes it failed.
Result<PreparedPod> make_pod(const EngineOptions& options, const PodRequest& request, image::Store& store,
                             const FoundImages& images, std::optional<std::size_t>& damaged) {
  const Layout layout(options);
  const PodUuid uuid = PodUuid::random();
  ASSIGN_OR_RETURN(PodManifest manifest, start_manifest(request, uuid));
  ASSIGN_OR_RETURN(OpenPod pod, create_pod(layout, uuid));
  ScopeExit undo([&] { discard_pod(options, pod); });
  if (Status filled = fill_pod(options, request, store, images, pod, manifest, damaged); !filled.ok())
    return io::explain_full_disk(std::move(filled).error(), "the containers in " + quoted(options.root),
                                 "cooper pod gc and rm remove containers, cooper image gc and image rm images; or use "
                                 "another disk: --root");
  log::step("pod prepared", [&] {
    return log::Fields{{"pod", uuid.str()}, {"name", manifest.name}, {"directory", layout.pod(pod.place, uuid)}};
  });
  undo.dismiss();
  return PreparedPod{std::move(pod), std::move(manifest)};
}

}  // namespace

Result<PreparedPod> prepare_pod(const EngineOptions& options, const PodRequest& request, const FetchImage& fetch) {
  RETURN_IF_ERROR(check_request(request));
  ASSIGN_OR_RETURN(image::Store store, image::Store::open(Layout(options).images()));
  store.watch_unpacking(options.unpacking);
  ASSIGN_OR_RETURN(const FoundImages images, find_images(store, request, fetch));
  std::set<std::size_t> mended;
  while (true) {
    std::optional<std::size_t> damaged;
    auto prepared = make_pod(options, request, store, images, damaged);
    if (prepared.ok() || !damaged || request.apps[*damaged].pull == Pull::kNever || !mended.insert(*damaged).second)
      return prepared;
    // Nothing is left of the pod: a signal during the fetch ends the process.
    RETURN_IF_ERROR(mend_image(store, *images[*damaged], fetch, std::move(prepared).error()));
  }
}

Result<PodManifest> plan_pod(const EngineOptions& options, const PodRequest& request) {
  RETURN_IF_ERROR(check_request(request));
  const PodUuid uuid = PodUuid::random();
  ASSIGN_OR_RETURN(PodManifest manifest, start_manifest(request, uuid));
  ASSIGN_OR_RETURN(image::Store store, image::Store::open(Layout(options).images()));
  ASSIGN_OR_RETURN(const FoundImages images, find_images(store, request, {}));
  ASSIGN_OR_RETURN(manifest.id_maps, choose_id_maps(Layout(options), request.user_namespace));
  AppPreparer preparer(options, store, manifest);
  ScopeExit release([&] {
    for (const std::string& chain : preparer.chains()) (void)store.release_tree(chain, uuid.str()).ok();
  });
  for (std::size_t i = 0; i < images.size(); ++i) RETURN_IF_ERROR(preparer.add(request.apps[i], images[i]));
  if (manifest.name.empty()) manifest.name = default_name(manifest.apps.front().app.name, uuid);
  return manifest;
}

Error explain_exec_format(const EngineOptions& options, const std::vector<std::string>& image_ids, Error error) {
  if (error.errno_value() != ENOEXEC) return error;
  const auto store = image::Store::open(Layout(options).images());
  if (!store.ok()) return error;
  for (const std::string& id : image_ids) {
    if (id.empty()) continue;  // of a file: the warning of the preparation is all there is to say
    const auto image = store->find(id);
    if (!image.ok()) continue;
    const auto config = store->config(*image);
    if (!config.ok()) continue;
    if (const std::string why = foreign_platform(*config); !why.empty())
      return std::move(error).with_hint("the image " + why);
    if (config->platform.architecture.empty())
      return std::move(error).with_hint("the image does not say for which architecture it is, this machine is " +
                                        oci_image::to_string(oci_image::host_platform()));
  }
  return error;
}

Status flush_pod(const Layout& layout, const OpenPod& pod, bool has_id_maps) {
  if (has_id_maps) RETURN_IF_ERROR(flush_id_ranges(layout));
  ASSIGN_OR_RETURN(const UniqueFd manifest, sys::openat(pod.dir, kManifestFile, O_RDONLY));
  RETURN_IF_ERROR(sys::fsync(manifest));
  return sys::fsync(pod.dir);
}

void discard_pod(const EngineOptions& options, OpenPod& pod) {
  Status deleted = delete_pod(options, pod);
  // gc will do it: the lock is free when this process ends.
  if (!deleted.ok()) log::debug("remove unfinished pod: " + deleted.error().message());
}

}  // namespace cooper::pod
