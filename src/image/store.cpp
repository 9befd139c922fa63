#include "image/store.h"

#include <algorithm>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "image/internal/aci_export.h"
#include "image/internal/cleanup.h"
#include "image/internal/erofs_tree.h"
#include "image/internal/find.h"
#include "image/internal/job.h"
#include "image/internal/listing.h"
#include "image/internal/load.h"
#include "image/internal/origins.h"
#include "image/internal/partial.h"
#include "image/internal/paths.h"
#include "image/internal/plan.h"
#include "image/internal/records.h"
#include "image/internal/remove.h"
#include "image/internal/save.h"
#include "image/internal/trees.h"
#include "image/internal/usage.h"
#include "image/internal/verify.h"
#include "io/file.h"
#include "io/full_disk.h"
#include "log/steps.h"
#include "spec/appc/print.h"
#include "spec/oci_image/parse.h"
#include "spec/oci_image/reference.h"
#include "sys/file.h"

namespace cooper::image {

namespace {

constexpr std::string_view kFullStoreHint =
    "cooper image gc and image rm remove images, cooper pod gc and rm containers; or use another disk: --root";

}  // namespace

struct Store::Impl {
  std::string dir;
  UniqueFd fd;
  Progress unpacking = {};
  void end_of_unpacking() const {
    if (unpacking) unpacking("", 0, 0);
  }
  // Of what has written into the store.
  Error explain(Error error) const {
    return io::explain_full_disk(std::move(error), "the image store " + quoted(dir), std::string(kFullStoreHint));
  }
  Result<io::FileLock> lock() const { return take_lock(fd, kStoreLock, io::FileLock::Mode::kExclusive); }
};

namespace {

void log_stored(std::span<const Image> images, const std::string& store, const log::Stopwatch& loading) {
  for (const Image& image : images) {
    log::step("image stored", [&] {
      return log::Fields{{"id", image.id.str()},
                         {"store", store},
                         {"layers", std::to_string(image.layers.size())},
                         {"size_bytes", std::to_string(image.size_bytes)},
                         {"took_ms", loading.ms()}};
    });
  }
}

}  // namespace

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;
Store::~Store() = default;

Result<Store> Store::open(const std::string& dir) {
  if (!dir.starts_with('/'))
    return Error(Errc::kInvalidArgument, "image store " + quoted(dir) + " is not an absolute path");
  auto impl = std::make_unique<Impl>();
  impl->dir = dir;
  ASSIGN_OR_RETURN(impl->fd, open_store_directory(dir));
  return Store(std::move(impl));
}

Result<Image> Store::find(std::string_view reference) const {
  auto image = find_image(Records(impl_->fd), reference);
  if (image.ok()) {
    log::step("image", [&] { return log::Fields{{"reference", std::string(reference)}, {"id", image->id.str()}}; });
  }
  return image;
}

Result<std::pair<Image, std::optional<std::string>>> Store::find_named(std::string_view reference) const {
  ASSIGN_OR_RETURN(FoundImage found, find_image_and_name(Records(impl_->fd), reference));
  return std::pair(std::move(found.image), std::move(found.name));
}

Status Store::check_reference(std::string_view reference) {
  return check_image_word(reference);
}

Status Store::check_new_name(std::string_view name) {
  ASSIGN_OR_RETURN(const oci_image::Reference parsed, oci_image::parse_reference(name));
  if (parsed.digest) return Error(Errc::kInvalidArgument, "name " + quoted(name) + " cannot have a digest");
  auto full = full_name(name, oci_image::kLocalRegistry);
  return full.ok() ? ok_status() : std::move(full).error();
}

bool Store::names_an_id(std::string_view reference) {
  return is_id(reference);
}

std::vector<std::string> Store::similar_names(std::string_view reference) const {
  return similar_to(Records(impl_->fd), reference);
}

Result<std::vector<Image>> Store::list(Detail detail) const {
  return list_images(impl_->fd, detail);
}

std::size_t Store::list_memory_bytes() const {
  constexpr std::size_t kMuch = std::size_t{1} << 20;
  constexpr std::size_t kTimes = 3;  // the text, the images, and the table of them
  const auto info = sys::fstatat(impl_->fd, kListingFile);
  const std::size_t bytes = info.ok() ? static_cast<std::size_t>(info->st_size) : 0;
  return bytes < kMuch ? 0 : bytes * kTimes;
}

void Store::find_last_uses(std::span<Image> images) const {
  const Trees trees(impl_->fd);
  for (Image& image : images)
    image.last_used_unix_ms = std::max(image.loaded_unix_ms, trees.last_used_unix_ms(image.chain));
}

Result<std::vector<Image>> Store::load(const LoadOptions& options) {
  const log::Stopwatch loading;
  auto images = load_images(impl_->fd, options);
  if (!images.ok()) return impl_->explain(std::move(images).error());
  log_stored(*images, impl_->dir, loading);
  return images;
}

Result<Image> Store::import(const ImportOptions& options) {
  const log::Stopwatch loading;
  auto image = import_rootfs(impl_->fd, options);
  if (!image.ok()) return impl_->explain(std::move(image).error());
  log_stored(std::span(&*image, 1), impl_->dir, loading);
  return image;
}

Result<Image> Store::build(const BuildOptions& options) {
  const log::Stopwatch building;
  auto image = build_image(impl_->fd, options);
  if (!image.ok()) return impl_->explain(std::move(image).error());
  log_stored(std::span(&*image, 1), impl_->dir, building);
  return image;
}

Result<PullResult> Store::pull(const PullOptions& options, const StartFetch& start) {
  const log::Stopwatch pulling;
  auto pulled = pull_image(impl_->fd, options, start);
  if (!pulled.ok()) return impl_->explain(std::move(pulled).error());
  log_stored(std::span(&pulled->image, 1), impl_->dir, pulling);
  return pulled;
}

Result<std::optional<Origin>> Store::origin(const std::string& address) const {
  return find_origin(impl_->fd, address);
}

Status Store::remember(const Origin& origin) {
  return write_origin(impl_->fd, origin);
}

Result<Download> Store::download(const std::string& key, std::uint64_t max_bytes, bool of_this_boot) const {
  return Download::open(impl_->fd, key, max_bytes, of_this_boot);
}

Result<PushResult> Store::push(const PushOptions& options, const StartFetch& start) const {
  const log::Stopwatch pushing;
  auto pushed = push_image(impl_->fd, options, start);
  if (pushed.ok()) {
    Trees(impl_->fd).note_use(options.image.chain);
    log::step("image pushed", [&] {
      return log::Fields{{"id", options.image.id.str()},
                         {"destination", options.destination.str()},
                         {"sent_bytes", std::to_string(pushed->sent_bytes)},
                         {"took_ms", pushing.ms()}};
    });
  }
  return pushed;
}

Result<SaveResult> Store::save(const SaveOptions& options) const {
  const log::Stopwatch saving;
  auto saved = save_images(impl_->fd, options);
  if (!saved.ok()) return impl_->explain(std::move(saved).error());
  for (const Image& image : saved->images) Trees(impl_->fd).note_use(image.chain);
  log::step("images saved", [&] {
    return log::Fields{{"images", std::to_string(saved->images.size())},
                       {"size_bytes", std::to_string(saved->size_bytes)},
                       {"took_ms", saving.ms()}};
  });
  return saved;
}

Result<std::vector<LayerSize>> Store::layer_sizes(const Image& image) const {
  return layer_sizes_of(impl_->fd, image);
}

Result<StoreUsage> Store::usage() const {
  return usage_of(impl_->fd);
}

Result<std::vector<VerifiedImage>> Store::verify(const VerifyOptions& options) {
  return verify_images(impl_->fd, options);
}

Result<std::vector<PathChange>> Store::diff(const Image& before, const Image& after, const ReadWatch& watch) const {
  return diff_images(impl_->fd, before, after, watch);
}

Status Store::tag(std::string_view reference, std::span<const std::string> names) {
  std::vector<std::string> full;
  for (const std::string& name : names) {
    RETURN_IF_ERROR(check_new_name(name));
    ASSIGN_OR_RETURN(std::string wanted, full_name(name, oci_image::kLocalRegistry));
    full.push_back(std::move(wanted));
  }
  ASSIGN_OR_RETURN(const io::FileLock guard, impl_->lock());
  Records records(impl_->fd);
  ASSIGN_OR_RETURN(const Image image, find_image(records, reference));
  for (const std::string& name : full) RETURN_IF_ERROR(records.put_name(name, image.id));
  return {};
}

Result<std::vector<std::string>> Store::untag(std::string_view reference, std::span<const std::string> names) {
  ASSIGN_OR_RETURN(const io::FileLock guard, impl_->lock());
  Records records(impl_->fd);
  ASSIGN_OR_RETURN(const Image image, find_image(records, reference));
  std::vector<std::string> taken;
  if (names.empty()) taken = image.names;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(const FoundImage named, find_image_and_name(records, name));
    if (named.image.id != image.id || !named.name)
      return Error(Errc::kNotFound, "image " + quoted(reference) + " has no name " + quoted(name))
          .with_hint(image.names.empty() ? "it has none" : "it has " + join(image.names, ", "));
    if (std::ranges::find(taken, *named.name) == taken.end()) taken.push_back(*named.name);
  }
  for (const std::string& name : taken) RETURN_IF_ERROR(records.remove_name(name));
  RETURN_IF_ERROR(records.flush());
  return taken;
}

Result<RemoveResult> Store::remove(std::string_view reference, bool force) {
  ASSIGN_OR_RETURN(auto removed, remove_all(std::vector{std::string(reference)}, force));
  return std::move(removed.front());
}

Result<std::vector<Result<RemoveResult>>> Store::remove_all(std::span<const std::string> references, bool force) {
  ASSIGN_OR_RETURN(const io::FileLock guard, impl_->lock());
  return remove_images(impl_->fd, references, force);
}

Result<std::string> Store::manifest_bytes(const Image& image) const {
  auto bytes = read_stored_document(impl_->fd, image.manifest_digest, "manifest");
  if (!bytes.ok()) return reload_hint(std::move(bytes).error(), image);
  return bytes;
}

Result<std::string> Store::aci_manifest_bytes(const Image& image) const {
  if (!image.aci) return Error(Errc::kInvalidArgument, "image " + image.id.str() + " is no ACI");
  return read_stored_document(impl_->fd, image.aci->manifest, "manifest of image " + image.id.str());
}

Result<std::string> Store::aci_manifest_bytes(const Image& image, const std::string& rootfs) const {
  if (image.aci) return aci_manifest_bytes(image);
  ASSIGN_OR_RETURN(const UniqueFd files, sys::openat(sys::kCwd, rootfs, O_RDONLY | O_DIRECTORY));
  auto manifest = aci_manifest_of_stored(impl_->fd, image, image.names.empty() ? "" : image.names.front(), files);
  if (!manifest.ok()) return reload_hint(std::move(manifest).error(), image);
  return appc::print(*manifest);
}

Result<std::string> Store::config_bytes(const Image& image) const {
  auto bytes = read_stored_document(impl_->fd, image.config_digest(), "configuration");
  if (!bytes.ok()) return reload_hint(std::move(bytes).error(), image);
  return bytes;
}

Result<oci_image::Manifest> Store::manifest(const Image& image) const {
  ASSIGN_OR_RETURN(std::string bytes, manifest_bytes(image));
  return oci_image::parse_manifest(std::move(bytes), "manifest");
}

Result<oci_image::ImageConfig> Store::config(const Image& image) const {
  ASSIGN_OR_RETURN(std::string bytes, config_bytes(image));
  return oci_image::parse_config(std::move(bytes), "configuration");
}

Result<Store::Tree> Store::acquire_tree(const Image& image, std::string_view user) {
  RETURN_IF_ERROR(check_chain(image.chain));
  RETURN_IF_ERROR(check_tree_user(user));
  ASSIGN_OR_RETURN(const bool there, Trees(impl_->fd).register_user(image.chain, user));
  const log::Stopwatch unpacking;
  if (!there) {
    const ScopeExit ended([&] { impl_->end_of_unpacking(); });
    if (Status unpacked = unpack_stored_tree(impl_->fd, image, user, impl_->unpacking); !unpacked.ok())
      return impl_->explain(std::move(unpacked).error());
  }
  Tree tree{.chain = image.chain, .rootfs = impl_->dir + "/" + tree_path(image.chain) + "/rootfs", .erofs = {}};
  log::step(there ? "tree reused" : "tree unpacked", [&] {
    return log::Fields{{"rootfs", tree.rootfs}, {"took_ms", there ? "0" : unpacking.ms()}};
  });
  return tree;
}

void Store::watch_unpacking(Progress progress) {
  impl_->unpacking = std::move(progress);
}

Result<Store::Tree> Store::acquire_erofs(const Image& image, std::string_view user) {
  RETURN_IF_ERROR(check_chain(image.chain));
  RETURN_IF_ERROR(check_tree_user(user));
  const std::string name = erofs_tree(image.chain);
  ASSIGN_OR_RETURN(const bool there, Trees(impl_->fd).register_user(name, user));
  const log::Stopwatch making;
  if (!there) {
    const ScopeExit ended([&] { impl_->end_of_unpacking(); });
    if (Status made = build_erofs_tree(impl_->fd, image, user, impl_->unpacking); !made.ok())
      return impl_->explain(std::move(made).error());
  }
  Tree tree{.chain = name, .rootfs = {}, .erofs = io::FilesystemImage()};
  ASSIGN_OR_RETURN(const struct stat info, sys::fstatat(impl_->fd, tree_path(name) + "/rootfs"));
  tree.erofs->file = impl_->dir + "/" + tree_path(name) + "/rootfs";
  tree.erofs->fstype = "erofs";
  tree.erofs->size = static_cast<std::uint64_t>(info.st_size);
  tree.erofs->untrusted = false;
  io::remember_file(info, *tree.erofs);
  log::step(there ? "erofs image reused" : "erofs image made", [&] {
    return log::Fields{{"file", tree.erofs->file}, {"took_ms", there ? "0" : making.ms()}};
  });
  return tree;
}

Status Store::release_tree(std::string_view chain, std::string_view user) {
  RETURN_IF_ERROR(check_chain(chain_of_tree(chain)));
  RETURN_IF_ERROR(check_tree_user(user));
  return Trees(impl_->fd).release_user(chain, user);
}

Result<std::vector<std::pair<std::string, std::string>>> Store::tree_users() const {
  const Trees trees(impl_->fd);
  ASSIGN_OR_RETURN(auto chains, trees.list());
  std::ranges::sort(chains);
  std::vector<std::pair<std::string, std::string>> out;
  for (const std::string& chain : chains) {
    ASSIGN_OR_RETURN(auto users, trees.users(chain));
    std::ranges::sort(users);
    for (std::string& user : users) out.emplace_back(chain, std::move(user));
  }
  return out;
}

Status Store::extract(const Image& image, const std::string& directory, BorrowedFd cancel) {
  Status made = sys::mkdirat(sys::kCwd, directory, 0755);
  const bool created = made.ok();
  if (!created && made.error().errno_value() != EEXIST) return made;
  ScopeExit undo([&] {
    if (created) (void)!sys::unlinkat(sys::kCwd, directory, AT_REMOVEDIR).ok();
  });
  ASSIGN_OR_RETURN(const UniqueFd fd, sys::openat(sys::kCwd, directory, O_RDONLY | O_DIRECTORY));
  if (!created) {
    ASSIGN_OR_RETURN(const auto names, sys::list_directory(fd));
    if (!names.empty())
      return Error(Errc::kAlreadyExists, "directory " + quoted(directory) + " is not empty", ENOTEMPTY)
          .with_hint("name a new or an empty one; --overwrite replaces what was unpacked by cooper");
  }
  const ScopeExit ended([&] { impl_->end_of_unpacking(); });
  ScopeExit empty([&] {
    const auto names = sys::list_directory(fd);
    if (!names.ok()) return;
    for (const std::string& name : *names) (void)!io::remove_tree(fd, name).ok();
  });
  if (Status unpacked = unpack_stored_image(impl_->fd, image, fd, impl_->unpacking, cancel); !unpacked.ok())
    return io::explain_full_disk(std::move(unpacked).error(), "directory " + quoted(directory),
                                 "free some of it, or extract to another disk");
  empty.dismiss();
  undo.dismiss();
  Trees(impl_->fd).note_use(image.chain);
  return {};
}

Result<Store::Collected> Store::gc(const GcOptions& options) {
  ASSIGN_OR_RETURN(const std::uint64_t stale,
                   options.dry_run ? stale_job_bytes(impl_->fd) : remove_stale_jobs(impl_->fd));
  const std::int64_t old =
      options.loaded_before_unix_ms.value_or(options.used_before_unix_ms.value_or(partials_old_before_unix_ms()));
  ASSIGN_OR_RETURN(const std::uint64_t partial, remove_old_partials(impl_->fd, old, options.dry_run));
  const auto mode = options.dry_run ? io::FileLock::Mode::kShared : io::FileLock::Mode::kExclusive;
  ASSIGN_OR_RETURN(const io::FileLock guard, take_lock(impl_->fd, kStoreLock, mode));
  ASSIGN_OR_RETURN(Collected out, sweep(impl_->fd, options));
  out.freed_bytes += stale + partial;
  return out;
}

}  // namespace cooper::image
