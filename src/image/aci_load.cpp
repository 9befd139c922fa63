#include <algorithm>

#include "base/strings.h"
#include "codec/compression.h"
#include "codec/digest.h"
#include "image/internal/aci.h"
#include "image/internal/build_config.h"
#include "image/internal/intake.h"
#include "image/internal/layer_path.h"
#include "image/internal/load.h"
#include "image/internal/paths.h"
#include "image/internal/pinned.h"
#include "image/internal/plan.h"
#include "image/internal/source.h"
#include "image/internal/trees.h"
#include "spec/appc/names.h"
#include "spec/appc/parse.h"
#include "spec/oci_image/parse.h"
#include "spec/oci_image/platform.h"
#include "spec/oci_image/print.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

using codec::Hasher;

constexpr std::size_t kMaxNesting = 64;
constexpr std::size_t kCopyBytes = std::size_t{256} << 10;

// Written, hashed and counted.
class HashingSink final : public codec::ByteSink {
 public:
  HashingSink(BorrowedFd file, BorrowedFd cancel, Hasher::Algorithm algorithm = Hasher::Algorithm::kSha256)
      : file_(file), cancel_(cancel), hasher_(algorithm) {}
  Status write(std::string_view bytes) override {
    hasher_.update(bytes);
    size_ += bytes.size();
    pending_.append(bytes);
    return pending_.size() < kCopyBytes ? Status() : flush();
  }
  Status flush() {
    RETURN_IF_ERROR(check_cancelled(cancel_));
    RETURN_IF_ERROR(sys::write_all(file_, pending_));
    pending_.clear();
    return {};
  }
  std::uint64_t size() const { return size_; }
  Digest finish() { return hasher_.finish(); }

 private:
  BorrowedFd file_;
  BorrowedFd cancel_;
  Hasher hasher_;
  std::string pending_;
  std::uint64_t size_ = 0;
};

// Blocks of a stored layer, uncompressed; the last read fails when the blob is not what its digest says.
class StoredLayer final : public codec::BlockSource {
 public:
  static Result<std::unique_ptr<codec::BlockSource>> open(BorrowedFd store, const PinnedBlob& blob) {
    ASSIGN_OR_RETURN(CheckedBlob checked, open_stored(store, blob, [](std::uint64_t) { return ok_status(); }));
    std::unique_ptr<StoredLayer> layer(new StoredLayer(std::move(checked)));  // ban-ok(new): private constructor
    ASSIGN_OR_RETURN(layer->plain_, codec::Decompressor::create(layer->stored_));
    layer->blocks_.emplace(*layer->plain_);
    return std::unique_ptr<codec::BlockSource>(std::move(layer));
  }
  Result<std::string_view> next() override { return blocks_->next(); }

 private:
  explicit StoredLayer(CheckedBlob stored) : stored_(std::move(stored)) {}
  CheckedBlob stored_;
  std::unique_ptr<codec::Decompressor> plain_;
  std::optional<codec::BufferedBlocks> blocks_;
};

// Blocks of a file that it owns.
class OwnedBlocks final : public codec::BlockSource {
 public:
  OwnedBlocks(UniqueFd file, std::uint64_t size_bytes) : file_(std::move(file)), blocks_(file_, size_bytes) {}
  Result<std::string_view> next() override { return blocks_.next(); }
  Result<std::uint64_t> skip(std::uint64_t bytes) override { return blocks_.skip(bytes); }

 private:
  UniqueFd file_;
  codec::FileBlocks blocks_;
};

struct Layer {
  Digest digest;
  Digest diff_id;
  std::uint64_t size_bytes = 0;
  OpenTar open;
};

bool is_meant(const appc::Dependency& dependency, std::string_view name, const std::vector<appc::NameValue>& labels) {
  return dependency.image_name == name && appc::has_labels(labels, dependency.labels);
}

std::string shown(const appc::Dependency& dependency) {
  std::string out = quoted(appc::print_image_name(dependency.image_name, dependency.labels));
  if (!dependency.image_id.empty()) out += " (sha512-" + dependency.image_id + ")";
  return out;
}

class AciLoader {
 public:
  AciLoader(BorrowedFd store, Staging& staging, BorrowedFd tar, std::uint64_t size_bytes, const LoadOptions& options)
      : store_(store),
        staging_(staging),
        tar_(tar),
        size_bytes_(size_bytes),
        options_(options),
        open_(open_tar_file(tar, size_bytes)) {}

  Result<Image> run();

 private:
  Result<bool> may_be_known() const;
  Result<Digest> hash() const;
  Result<Digest> keep_archive(const std::string& manifest);
  Result<std::vector<std::string>> names() const;
  Status check_circle(const appc::Dependency& dependency) const;
  Result<std::optional<Image>> lookup(const appc::Dependency& dependency) const;
  Result<Image> resolve(const appc::Dependency& dependency) const;
  Error missing(const appc::Dependency& dependency, bool supplied) const;
  Status check_stored_size(const appc::Dependency& dependency, const Image& image) const;
  Result<std::optional<Image>> known(const Digest& id, const std::vector<Image>& dependencies) const;
  Result<std::optional<Image>> pin_known(const std::vector<Image>& dependencies);
  Status add_dependency(const Image& image, const PathFilter& filter);
  Status add_stored(const Image& image, const PinnedLayer& layer, const PathFilter& filter);
  Status write(const OpenTar& tar, TarKind kind, const PathFilter& filter);
  Result<std::string> user() const;
  Result<std::string> owner_id(const std::string& word, bool group) const;
  Result<ImagePlan> plan(const Digest& id, const std::vector<Image>& dependencies);
  Result<std::vector<OpenLayer>> open_layers(const ImagePlan& plan) const;

  BorrowedFd store_;
  Staging& staging_;
  BorrowedFd tar_;
  std::uint64_t size_bytes_;
  const LoadOptions& options_;
  UniqueFd archive_;  // in the staging area, when it is there
  OpenTar open_;
  appc::ImageManifest manifest_;
  std::vector<Layer> layers_;
};

Result<Digest> AciLoader::hash() const {
  Hasher hasher(Hasher::Algorithm::kSha512);
  FileRange source({.fd = tar_, .size_bytes = size_bytes_}, options_.cancel);
  std::vector<char> buffer(kCopyBytes);
  std::uint64_t done = 0;
  while (true) {
    ASSIGN_OR_RETURN(const std::size_t n, source.read(buffer));
    if (n == 0) return hasher.finish();
    hasher.update({buffer.data(), n});
    done += n;
    if (options_.progress) options_.progress("checking", done, size_bytes_);
  }
}

// Reading it all for its id is worth while only then.
Result<bool> AciLoader::may_be_known() const {
  ASSIGN_OR_RETURN(const auto images, Records(store_).images());
  return std::ranges::any_of(images,
                             [&](const Image& image) { return image.aci && image.aci->name == manifest_.name; });
}

// The archive itself, uncompressed: the blob whose digest is the image's id. From here on it is what is read: whoever
// may write to the file it was copied from changes neither what is under that id nor what is made of it.
Result<Digest> AciLoader::keep_archive(const std::string& manifest) {
  ASSIGN_OR_RETURN(auto blob, staging_.new_blob());
  FileRange source({.fd = tar_, .size_bytes = size_bytes_}, options_.cancel);
  HashingSink sink(blob.file, options_.cancel, Hasher::Algorithm::kSha512);
  std::vector<char> buffer(kCopyBytes);
  while (true) {
    ASSIGN_OR_RETURN(const std::size_t n, source.read(buffer));
    if (n == 0) break;
    RETURN_IF_ERROR(sink.write({buffer.data(), n}));
    if (options_.progress) options_.progress("checking", sink.size(), size_bytes_);
  }
  RETURN_IF_ERROR(sink.flush());
  Digest id = sink.finish();
  RETURN_IF_ERROR(staging_.keep_blob(blob.number, id));
  archive_ = std::move(blob.file);
  tar_ = archive_;
  open_ = open_tar_file(tar_, size_bytes_);
  ASSIGN_OR_RETURN(const std::string kept, read_aci_manifest(open_));
  if (kept == manifest) return id;
  return Error(Errc::kBusy, "it changed while it was read").with_hint("stop what writes there, or work on a copy");
}

Result<std::vector<std::string>> AciLoader::names() const {
  std::vector<std::string> out;
  auto own = reference_of(manifest_);
  if (!own.ok() && options_.name.empty())
    return std::move(own).error().with_hint("give it another name in the store with --name");
  if (own.ok()) out.push_back(std::move(*own));
  if (!options_.name.empty()) {
    ASSIGN_OR_RETURN(std::string wanted, full_name(options_.name, oci_image::kLocalRegistry));
    if (out.empty() || out.front() != wanted) out.push_back(std::move(wanted));
  }
  return out;
}

Status AciLoader::check_circle(const appc::Dependency& dependency) const {
  const auto circle = [&](const std::string& through) {
    return Error(Errc::kInvalidArgument, "dependencies go in a circle: " + through + " -> " + dependency.image_name);
  };
  if (is_meant(dependency, manifest_.name, manifest_.labels)) return circle(manifest_.name);
  if (options_.needed_by.size() >= kMaxNesting)
    return Error(Errc::kLimit, "dependencies are nested more than " + std::to_string(kMaxNesting) + " deep");
  std::string through = manifest_.name;
  for (std::size_t i = options_.needed_by.size(); i-- > 0;) {
    const appc::ImageName& one = options_.needed_by[i];
    through.insert(0, one.name + " -> ");
    if (is_meant(dependency, one.name, one.labels)) return circle(through);
  }
  return {};
}

Result<std::optional<Image>> AciLoader::lookup(const appc::Dependency& dependency) const {
  const Records records(store_);
  if (dependency.image_id.empty())
    return find_aci(records, dependency.image_name, dependency.labels, platform_of(manifest_.labels));
  ASSIGN_OR_RETURN(const auto ids, records.ids_with_prefix(dependency.image_id));
  for (const Digest& id : ids) {
    ASSIGN_OR_RETURN(auto image, records.image(id));
    if (!image || !image->aci) continue;
    if (is_meant(dependency, image->aci->name, image->aci->labels)) return image;
    return Error(Errc::kInvalidArgument, "dependency " + shown(dependency) + " is " +
                                             quoted(appc::print_image_name(image->aci->name, image->aci->labels)) +
                                             " in the store");
  }
  return std::optional<Image>();
}

Error AciLoader::missing(const appc::Dependency& dependency, bool supplied) const {
  if (supplied && !dependency.image_id.empty()) {
    const auto other =
        find_aci(Records(store_), dependency.image_name, dependency.labels, platform_of(manifest_.labels));
    if (other.ok() && *other)
      return Error(Errc::kCorrupt, "needs image " + shown(dependency) + ", and what came under that name is sha512-" +
                                       std::string((*other)->id.hex()))
          .with_hint("ask whoever publishes it, or load the one that is meant: cooper image load FILE.aci");
  }
  return Error(Errc::kNotFound, "needs image " + shown(dependency) + ", which is not in the store")
      .with_hint("load that one first: cooper image load FILE.aci");
}

// Of what is here only the archive's size is known: a smaller one may be that of the file it came in, compressed.
Status AciLoader::check_stored_size(const appc::Dependency& dependency, const Image& image) const {
  if (!dependency.size_bytes) return {};
  const auto info = sys::fstatat(store_, blob_path(image.id));
  if (!info.ok() || *dependency.size_bytes <= static_cast<std::uint64_t>(info->st_size)) return {};
  return Error(Errc::kCorrupt, "image " + shown(dependency) + " has " + std::to_string(info->st_size) +
                                   " bytes, and what needs it says that it has " +
                                   std::to_string(*dependency.size_bytes));
}

Result<Image> AciLoader::resolve(const appc::Dependency& dependency) const {
  ASSIGN_OR_RETURN(auto found, lookup(dependency));
  bool supplied = false;
  // What is there under an id is made of other bytes: no circle.
  if (!found || dependency.image_id.empty()) RETURN_IF_ERROR(check_circle(dependency));
  if (!found && options_.supply) {
    std::vector<appc::ImageName> needed_by = options_.needed_by;
    needed_by.push_back({manifest_.name, manifest_.labels});
    ASSIGN_OR_RETURN(supplied, options_.supply(dependency, needed_by));
    if (supplied) {
      ASSIGN_OR_RETURN(found, lookup(dependency));
    }
  }
  if (!found) return missing(dependency, supplied);
  if (!supplied) RETURN_IF_ERROR(check_stored_size(dependency, *found));
  return std::move(*found);
}

// The same image, made of the same layers, with all its bytes.
Result<std::optional<Image>> AciLoader::known(const Digest& id, const std::vector<Image>& dependencies) const {
  ASSIGN_OR_RETURN(auto image, Records(store_).image(id));
  if (!image || !manifest_.path_whitelist.empty()) return std::optional<Image>();
  std::vector<Digest> below;
  for (const Image& one : dependencies) below.insert(below.end(), one.layers.begin(), one.layers.end());
  const bool same = image->layers.size() == below.size() + 1 &&
                    std::equal(below.begin(), below.end(), image->layers.begin()) && has_all_bytes(store_, *image);
  return same ? std::move(image) : std::optional<Image>();
}

Result<std::optional<Image>> AciLoader::pin_known(const std::vector<Image>& dependencies) {
  ASSIGN_OR_RETURN(const bool may_be, may_be_known());
  if (!may_be) return std::optional<Image>();
  ASSIGN_OR_RETURN(const Digest id, hash());
  ASSIGN_OR_RETURN(auto there, known(id, dependencies));
  ASSIGN_OR_RETURN(const bool pinned, there ? pin_image(store_, staging_, *there) : Result<bool>(false));
  return pinned ? std::move(there) : std::optional<Image>();
}

Status AciLoader::add_dependency(const Image& image, const PathFilter& filter) {
  auto described = describe_stored(store_, image);
  if (!described.ok()) return reload_hint(std::move(described).error(), image);
  for (const PinnedLayer& layer : described->layers) {
    if (Status added = add_stored(image, layer, filter); !added.ok())
      return reload_hint(std::move(added).error(), image);
  }
  return {};
}

Status AciLoader::add_stored(const Image& image, const PinnedLayer& layer, const PathFilter& filter) {
  if (layers_.size() >= oci_image::kMaxLayers)
    return Error(Errc::kLimit, "dependencies make more than " + std::to_string(oci_image::kMaxLayers) + " layers");
  const OpenTar open = [this, blob = layer.blob] { return StoredLayer::open(store_, blob); };
  if (!filter.keeps_all()) return write(open, TarKind::kLayer, filter);
  ASSIGN_OR_RETURN(const bool there, staging_.pin_blob(layer.blob.digest, layer.blob.size_bytes));
  if (!there) return Error(Errc::kNotFound, layer.blob.what + " of image " + image.id.str() + " is missing", ENOENT);
  layers_.push_back({layer.blob.digest, layer.diff_id, layer.blob.size_bytes, open});
  return {};
}

// A new layer of what the filter keeps.
Status AciLoader::write(const OpenTar& tar, TarKind kind, const PathFilter& filter) {
  ASSIGN_OR_RETURN(auto blob, staging_.new_blob());
  HashingSink sink(blob.file, options_.cancel);
  RETURN_IF_ERROR(write_layer(tar, kind, filter, sink));
  RETURN_IF_ERROR(sink.flush());
  const Digest digest = sink.finish();
  RETURN_IF_ERROR(staging_.keep_blob(blob.number, digest));
  const OpenTar open = [this, digest, size = sink.size()]() -> Result<std::unique_ptr<codec::BlockSource>> {
    ASSIGN_OR_RETURN(UniqueFd file, staging_.open_blob(digest));
    return std::unique_ptr<codec::BlockSource>(std::make_unique<OwnedBlocks>(std::move(file), size));
  };
  layers_.push_back({digest, digest, sink.size(), open});
  return {};
}

// A number or a name; of an absolute path the owner of what lies there.
Result<std::string> AciLoader::owner_id(const std::string& word, bool group) const {
  if (!word.starts_with('/')) return word;
  ASSIGN_OR_RETURN(const std::string path, clean_path(word));
  std::vector<OpenTar> tars;
  for (const Layer& layer : layers_) tars.push_back(layer.open);
  ASSIGN_OR_RETURN(const auto owner, owner_in(tars, path));
  if (!owner)
    return Error(Errc::kNotFound, std::string(group ? "group" : "user") + " of the app is the owner of " +
                                      quoted(word) + ", which the image does not have");
  return std::to_string(group ? owner->gid : owner->uid);
}

Result<std::string> AciLoader::user() const {
  if (!manifest_.app) return std::string();
  ASSIGN_OR_RETURN(const std::string user, owner_id(manifest_.app->user, false));
  ASSIGN_OR_RETURN(const std::string group, owner_id(manifest_.app->group, true));
  return user + ":" + group;
}

Result<ImagePlan> AciLoader::plan(const Digest& id, const std::vector<Image>& dependencies) {
  ASSIGN_OR_RETURN(const std::string user, this->user());
  Noted noted = read_notes(manifest_);
  ImagePlan out{.names = {},
                .config_bytes = {},
                .config = config_of(manifest_, user),
                .config_digest = id,
                .manifest_bytes = {},
                .annotations = std::move(noted.annotations),
                .layers = {},
                .id = id};
  apply_notes(noted, manifest_, out.config);
  ASSIGN_OR_RETURN(out.names, names());
  for (const Layer& layer : layers_) {
    out.layers.push_back({blob_path(layer.digest), layer.diff_id, layer.digest, layer.size_bytes});
    out.config.diff_ids.push_back(layer.diff_id);
  }
  for (const Image& image : dependencies) {
    const std::string name = appc::print_image_name(image.aci->name, image.aci->labels);
    for (std::size_t i = 0; i < image.layers.size(); ++i)
      out.config.history.push_back({.created = image.created, .created_by = "dependency " + name, .comment = {}});
  }
  out.config.history.push_back({.created = out.config.created,
                                .created_by = "ACI " + appc::print_image_name(manifest_.name, manifest_.labels),
                                .comment = {}});
  out.config_bytes = oci_image::print(out.config);
  if (!noted.config_bytes.empty()) {
    ASSIGN_OR_RETURN(out.config_bytes, print_over_base(out.config, noted.config_bytes));
  }
  out.config_digest = codec::digest_of(out.config_bytes);
  return out;
}

Result<std::vector<OpenLayer>> AciLoader::open_layers(const ImagePlan& plan) const {
  std::vector<OpenLayer> out;
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    const LayerPlan& layer = plan.layers[i];
    ASSIGN_OR_RETURN(UniqueFd file, staging_.open_blob(*layer.digest));
    const BorrowedFd fd = file.borrow();
    out.push_back({.input = {.what = layer_name(i, plan.layers.size(), layer),
                             .source = std::make_unique<FileRange>(
                                 SourceFile{std::move(file), fd, 0, *layer.size_bytes}, options_.cancel),
                             .digest = layer.digest,
                             .size_bytes = layer.size_bytes,
                             .diff_id = layer.diff_id},
                   .bytes = *layer.size_bytes});
  }
  return out;
}

Result<Image> AciLoader::run() {
  ASSIGN_OR_RETURN(const std::string text, read_aci_manifest(open_));
  ASSIGN_OR_RETURN(manifest_, appc::parse_image_manifest(text, "manifest"));
  if (options_.admit_aci) RETURN_IF_ERROR(options_.admit_aci(manifest_));
  const std::string what = "image " + quoted(appc::print_image_name(manifest_.name, manifest_.labels));
  oci_image::ImageConfig platform_only;
  platform_only.platform = platform_of(manifest_.labels);
  RETURN_IF_ERROR(check_platform(platform_only, options_.platform.value_or(oci_image::machine_platform()), what));
  std::vector<Image> dependencies;
  for (const appc::Dependency& dependency : manifest_.dependencies) {
    auto image = resolve(dependency);
    if (!image.ok()) return std::move(image).error().with(what);
    dependencies.push_back(std::move(*image));
  }
  ASSIGN_OR_RETURN(auto there, pin_known(dependencies));
  if (there) {
    ASSIGN_OR_RETURN(there->names, names());
    return std::move(*there);
  }
  ASSIGN_OR_RETURN(const Digest id, keep_archive(text));
  const PathFilter filter(manifest_.path_whitelist);
  for (const Image& image : dependencies) RETURN_IF_ERROR(add_dependency(image, filter));
  RETURN_IF_ERROR(write(open_, TarKind::kAci, filter));
  ASSIGN_OR_RETURN(const ImagePlan made, plan(id, dependencies));
  const OpenLayers open = [&] { return open_layers(made); };
  ASSIGN_OR_RETURN(Image image, take_in(store_, staging_, made, open, options_.progress));
  const Digest manifest_digest = codec::digest_of(text);
  RETURN_IF_ERROR(staging_.add_blob(manifest_digest, text));
  image.aci = Aci{.name = manifest_.name, .labels = manifest_.labels, .manifest = manifest_digest, .dependencies = {}};
  for (const Image& one : dependencies) image.aci->dependencies.push_back(one.id);
  return image;
}

}  // namespace

Result<Image> load_aci(BorrowedFd store, Staging& staging, BorrowedFd tar, std::uint64_t size_bytes,
                       const LoadOptions& options) {
  return AciLoader(store, staging, tar, size_bytes, options).run();
}

}  // namespace cooper::image
