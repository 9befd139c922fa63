#include "image/internal/load.h"

#include <set>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "codec/digest.h"
#include "image/file_image.h"
#include "image/internal/aci.h"
#include "image/internal/intake.h"
#include "image/internal/job.h"
#include "image/internal/layers.h"
#include "image/internal/paths.h"
#include "image/internal/plan.h"
#include "image/internal/records.h"
#include "image/internal/select.h"
#include "image/internal/source.h"
#include "image/internal/staging.h"
#include "image/internal/trees.h"
#include "io/access_lists.h"
#include "io/file.h"
#include "log/log.h"
#include "spec/oci_image/media_types.h"
#include "spec/oci_image/parse.h"
#include "spec/oci_image/platform.h"
#include "spec/oci_image/print.h"
#include "sys/file.h"
#include "sys/lseek.h"

namespace cooper::image {
namespace {

class Loader {
 public:
  Loader(BorrowedFd store, const LoadOptions& options) : store_(store), options_(options) {}

  Result<std::vector<Image>> run();

 private:
  Result<std::vector<ImagePlan>> plan(Transport transport) const;
  Result<std::vector<Image>> take_in_all(Transport transport);
  Status open_source();
  Status open_archive(UniqueFd file, bool seekable, std::uint64_t size);
  Result<Transport> detect();
  Result<std::vector<OpenLayer>> open_layers(const ImagePlan& plan);

  BorrowedFd store_;
  const LoadOptions& options_;
  std::optional<Staging> staging_;
  std::unique_ptr<Source> source_;
  ArchiveSource* archive_ = nullptr;  // the same, when it is one
  bool is_directory_ = false;
};

Status Loader::open_archive(UniqueFd file, bool seekable, std::uint64_t size) {
  if (seekable) {
    std::string head(codec::kSniffBytes, '\0');
    ASSIGN_OR_RETURN(const std::size_t n, sys::pread(file, head, 0));
    head.resize(n);
    if (codec::sniff(head) == codec::Compression::kNone) {
      ASSIGN_OR_RETURN(auto archive, ArchiveSource::index(std::move(file), size));
      archive_ = archive.get();
      source_ = std::move(archive);
      return {};
    }
  }
  StreamSource stream(file, options_.cancel);
  if (options_.progress) stream.show([&, size](std::uint64_t done) { options_.progress("reading", done, size); });
  ASSIGN_OR_RETURN(UniqueFd spool,
                   sys::openat(staging_->job().fd(), "spool", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  ASSIGN_OR_RETURN(auto archive, ArchiveSource::spool(stream, std::move(spool)));
  archive_ = archive.get();
  source_ = std::move(archive);
  return {};
}

Status Loader::open_source() {
  const bool given = options_.file.get() >= 0;
  if (!given && options_.path == "-") {
    ASSIGN_OR_RETURN(UniqueFd input, sys::dup_cloexec(BorrowedFd(STDIN_FILENO)));
    return open_archive(std::move(input), false, 0);
  }
  ASSIGN_OR_RETURN(UniqueFd file, given ? sys::dup_cloexec(options_.file) : open_input(options_.path));
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(file));
  // Who wrote it left its position at the end.
  if (given && S_ISREG(info.st_mode)) RETURN_IF_ERROR(sys::lseek(file, 0, SEEK_SET));
  if (S_ISDIR(info.st_mode)) {
    is_directory_ = true;
    source_ = std::make_unique<DirectorySource>(io::RootDir::adopt(std::move(file)));
    return {};
  }
  return open_archive(std::move(file), S_ISREG(info.st_mode), static_cast<std::uint64_t>(info.st_size));
}

Result<Transport> Loader::detect() {
  if (options_.transport != Transport::kAuto) {
    const bool wants_directory =
        options_.transport == Transport::kOciDirectory || options_.transport == Transport::kSkopeoDirectory;
    if (wants_directory != is_directory_) {
      return Error(Errc::kInvalidArgument, is_directory_ ? "is a directory, not an archive" : "is not a directory");
    }
    return options_.transport;
  }
  ASSIGN_OR_RETURN(const bool has_index, source_->has("index.json"));
  if (has_index) return is_directory_ ? Transport::kOciDirectory : Transport::kOciArchive;
  ASSIGN_OR_RETURN(const bool has_docker_manifest, source_->has("manifest.json"));
  if (has_docker_manifest && !is_directory_) return Transport::kDockerArchive;
  if (archive_ != nullptr && archive_->has_member("manifest")) return Transport::kAci;
  if (is_directory_) {
    ASSIGN_OR_RETURN(const bool is_skopeo_dir, looks_like_skopeo_dir(*source_));
    if (is_skopeo_dir) return Transport::kSkopeoDirectory;
  }
  Error error(Errc::kInvalidArgument,
              is_directory_
                  ? "is not an OCI layout: it has no index.json"
                  : "is not an image: it has neither index.json nor manifest.json, nor the manifest of an ACI");
  return std::move(error).with_hint(
      is_directory_ ? "pack the directory with tar and use cooper image import to make an image of it"
                    : "use cooper image import to make an image of a root file system");
}

namespace {

Status check_single(const std::vector<ImagePlan>& plans) {
  std::set<Digest> ids;
  std::vector<std::string> names;
  for (const ImagePlan& plan : plans) {
    ids.insert(plan.image_id());
    names.insert(names.end(), plan.names.begin(), plan.names.end());
  }
  if (ids.size() <= 1) return {};
  return several_images(names, ids.size());
}

}  // namespace

Result<std::vector<ImagePlan>> Loader::plan(Transport transport) const {
  const PlanOptions options{.platform = options_.platform.value_or(oci_image::machine_platform()),
                            .name = options_.name,
                            .only = options_.only};
  ASSIGN_OR_RETURN(auto plans, transport == Transport::kSkopeoDirectory ? plan_skopeo_directory(*source_, options)
                               : transport == Transport::kDockerArchive ? plan_docker_archive(*source_, options)
                                                                        : plan_oci_layout(*source_, options));
  if (options_.single) RETURN_IF_ERROR(check_single(plans));
  return plans;
}

Result<std::vector<OpenLayer>> Loader::open_layers(const ImagePlan& plan) {
  std::vector<OpenLayer> layers;
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    const LayerPlan& layer = plan.layers[i];
    const std::string what = layer_name(i, plan.layers.size(), layer);
    ASSIGN_OR_RETURN(auto file, source_->open(layer.file));
    if (!file) return Error(Errc::kNotFound, what + " is missing", ENOENT);
    if (layer.size_bytes && file->size_bytes != *layer.size_bytes) {
      return Error(Errc::kCorrupt, what + " is corrupt: it has " + std::to_string(file->size_bytes) + " bytes, not " +
                                       std::to_string(*layer.size_bytes));
    }
    ASSIGN_OR_RETURN(auto blob, staging_->new_blob());
    const std::uint64_t bytes = file->size_bytes;
    layers.push_back({.input = {.what = what,
                                .source = std::make_unique<FileRange>(std::move(*file), options_.cancel),
                                .digest = layer.digest,
                                .size_bytes = layer.size_bytes,
                                .diff_id = layer.diff_id,
                                .copy = std::move(blob.file)},
                      .bytes = bytes,
                      .blob = blob.number});
  }
  return layers;
}

Result<std::vector<Image>> Loader::take_in_all(Transport transport) {
  std::vector<Image> images;
  if (transport == Transport::kAci) {
    if (!options_.only.empty()) return Error(Errc::kInvalidArgument, "is one image, of which none can be chosen");
    ASSIGN_OR_RETURN(const struct stat info, sys::fstat(archive_->file()));
    ASSIGN_OR_RETURN(Image image,
                     load_aci(store_, *staging_, archive_->file(), static_cast<std::uint64_t>(info.st_size), options_));
    images.push_back(std::move(image));
    return images;
  }
  ASSIGN_OR_RETURN(const auto plans, plan(transport));
  for (const ImagePlan& plan : plans) {
    const OpenLayers open = [&] { return open_layers(plan); };
    ASSIGN_OR_RETURN(Image image, take_in(store_, *staging_, plan, open, options_.progress));
    images.push_back(std::move(image));
  }
  return images;
}

Result<std::vector<Image>> Loader::run() {
  // What killed loads left behind may be large; not to find it is no reason to fail.
  (void)!remove_stale_jobs(store_).ok();
  ASSIGN_OR_RETURN(Staging staging, Staging::create(store_));
  staging_.emplace(std::move(staging));
  const std::string shown = options_.path == "-" ? "standard input" : quoted(options_.path);
  const auto context = [&](Error error) { return std::move(error).with(shown); };
  // Of images that are run where they lie.
  const auto explain = [&](Error error) {
    if (error.code() != Errc::kCorrupt || options_.path == "-" || !is_image_file(options_.path)) return error;
    return Error(Errc::kUnsupported, "is an image file, which is not loaded but run where it lies")
        .with_hint("cooper run " + (names_file(options_.path) ? options_.path : "./" + options_.path));
  };
  if (Status opened = open_source(); !opened.ok()) {
    // A path that cannot be opened is named by that error already.
    return opened.error().message().starts_with("open " + shown) ? std::move(opened).error()
                                                                 : context(explain(std::move(opened).error()));
  }
  auto transport = detect();
  if (!transport.ok()) return context(std::move(transport).error());
  if (options_.admit) {
    if (Status admitted = options_.admit(*transport); !admitted.ok()) return context(std::move(admitted).error());
  }
  auto images = take_in_all(*transport);
  if (!images.ok()) return context(std::move(images).error());
  RETURN_IF_ERROR(staging_->commit(*images));
  return images;
}

// Layers of a stored image as inputs; their descriptors are opened now, so that a removal meanwhile does no harm.
Result<std::vector<LayerInput>> stored_inputs(BorrowedFd store, const Image& image,
                                              BorrowedFd cancel = BorrowedFd(-1)) {
  ASSIGN_OR_RETURN(std::string manifest_bytes, read_stored_document(store, image.manifest_digest, "manifest"));
  ASSIGN_OR_RETURN(const auto manifest, oci_image::parse_manifest(std::move(manifest_bytes), "manifest"));
  ASSIGN_OR_RETURN(std::string config_bytes, read_stored_document(store, image.config_digest(), "configuration"));
  ASSIGN_OR_RETURN(const auto config, oci_image::parse_config(std::move(config_bytes), "configuration"));
  if (config.diff_ids.size() != manifest.layers.size())
    return Error(Errc::kCorrupt, "manifest and configuration differ in layers");
  std::vector<LayerInput> inputs;
  for (std::size_t i = 0; i < manifest.layers.size(); ++i) {
    const oci_image::Descriptor& layer = manifest.layers[i];
    const std::string what =
        layer_name(i, manifest.layers.size(), {blob_path(layer.digest), config.diff_ids[i], layer.digest, {}});
    auto file = sys::openat(store, blob_path(layer.digest), O_RDONLY | O_NOFOLLOW);
    if (!file.ok() && file.error().errno_value() == ENOENT) return Error(Errc::kCorrupt, what + " is missing");
    if (!file.ok()) return std::move(file).error().with(what);
    const BorrowedFd fd = file->borrow();
    inputs.push_back(
        {.what = what,
         .source = std::make_unique<FileRange>(SourceFile{std::move(*file), fd, 0, layer.size_bytes}, cancel),
         .digest = layer.digest,
         .size_bytes = layer.size_bytes,
         .diff_id = config.diff_ids[i]});
  }
  return inputs;
}

}  // namespace

Error reload_hint(Error error, const Image& image) {
  if (error.code() == Errc::kCorrupt || error.code() == Errc::kNotFound) {
    // Neither a pull nor a load reads what is there whole: what is wrong must go first.
    const std::string name = image.names.empty() ? std::string(image.id.hex().substr(0, 12)) : image.names.front();
    return std::move(error)
        .with_code(Errc::kCorrupt)
        .with("image " + image.id.str())
        .with_hint("what is damaged in the store goes by cooper image verify --repair " + name +
                   "; then pull or load the image again");
  }
  return error;
}

Result<std::vector<Image>> load_images(BorrowedFd store, const LoadOptions& options) {
  return Loader(store, options).run();
}

Result<std::string> read_stored_document(BorrowedFd store, const Digest& digest, std::string_view what) {
  auto bytes = io::read_file(store, blob_path(digest), oci_image::kMaxDocumentBytes);
  if (!bytes.ok() && bytes.error().errno_value() == ENOENT)
    return Error(Errc::kCorrupt, std::string(what) + " (" + digest.str() + ") is missing");
  if (!bytes.ok()) return std::move(bytes).error().with(what);
  RETURN_IF_ERROR(codec::check_digest(*bytes, digest, what));
  return bytes;
}

Status unpack_stored_tree(BorrowedFd store, const Image& image, std::string_view user, const Progress& progress) {
  const Trees trees(store);
  ASSIGN_OR_RETURN(const io::FileLock guard, trees.lock_unpacking(image.chain));
  // Somebody else may have done it while we waited.
  ASSIGN_OR_RETURN(const bool there, trees.register_user(image.chain, user));
  if (there) return {};
  ASSIGN_OR_RETURN(const Job job, Job::create(store));
  ASSIGN_OR_RETURN(const UniqueFd rootfs, Trees::begin(job, image.chain));
  TreeBuilder builder(rootfs);
  auto inputs = stored_inputs(store, image);
  if (!inputs.ok()) return reload_hint(std::move(inputs).error(), image);
  const LayerProgress show = show_layers(progress, *inputs);
  auto done = process_layers(std::move(*inputs), &builder, show, store);
  if (!done.ok()) return reload_hint(std::move(done).error(), image);
  RETURN_IF_ERROR(Trees::seal(job, image.chain, builder));
  RETURN_IF_ERROR(sys::syncfs(store));
  return trees.publish(job, image.chain, user);
}

Status unpack_stored_image(BorrowedFd store, const Image& image, BorrowedFd directory, const Progress& progress,
                           BorrowedFd cancel) {
  ASSIGN_OR_RETURN(const io::AccessLists lists, io::take_access_lists(directory));
  ScopeExit undo([&] { io::give_back(directory, lists); });
  TreeBuilder builder(directory);
  auto inputs = stored_inputs(store, image, cancel);
  if (!inputs.ok()) return reload_hint(std::move(inputs).error(), image);
  const LayerProgress show = show_layers(progress, *inputs);
  auto done = process_layers(std::move(*inputs), &builder, show);
  if (!done.ok()) return reload_hint(std::move(done).error(), image);
  if (builder.left_out() != 0) {
    log::warning("image " + quoted(image.names.empty() ? image.id.str() : image.names.front()) + ": " +
                 std::to_string(builder.left_out()) +
                 " device nodes are left out: only root of the machine makes some");
  }
  undo.dismiss();
  return {};
}

}  // namespace cooper::image
