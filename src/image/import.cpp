// `image import`: a root file system as a plain tar becomes an image of one layer.
#include <chrono>

#include "base/strings.h"
#include "codec/digest.h"
#include "image/internal/build_config.h"
#include "image/internal/changes.h"
#include "image/internal/intake.h"
#include "image/internal/job.h"
#include "image/internal/layers.h"
#include "image/internal/load.h"
#include "image/internal/plan.h"
#include "image/internal/source.h"
#include "image/internal/staging.h"
#include "image/internal/trees.h"
#include "io/file.h"
#include "spec/oci_image/media_types.h"
#include "spec/oci_image/platform.h"
#include "spec/oci_image/print.h"
#include "spec/oci_image/reference.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

struct Input {
  UniqueFd fd;
  std::uint64_t size_bytes = 0;  // 0: unknown
};

// The archive as a layer of the image has it.
class ImportSource final : public codec::ByteSource {
 public:
  // `done`: bytes of the archive itself that were read.
  ImportSource(BorrowedFd fd, BorrowedFd cancel, std::uint64_t& done) : stored_(fd, cancel) {
    stored_.show([&done](std::uint64_t bytes) { done = bytes; });
  }
  Result<std::size_t> read(std::span<char> buffer) override {
    if (!layer_) {
      ASSIGN_OR_RETURN(layer_, codec::Decompressor::for_layer(stored_));
    }
    return layer_->read(buffer);
  }

 private:
  StreamSource stored_;
  std::unique_ptr<codec::Decompressor> layer_;
};

std::string shown(const std::string& path) {
  return path == "-" ? "standard input" : quoted(path);
}

Error is_image_error(const std::string& path) {
  return Error(Errc::kInvalidArgument, shown(path) + " is an image already, not a root file system")
      .with_hint("use cooper image load");
}

constexpr const char* kPackHint = "pack a root file system into one: tar -C DIR -c . | cooper image import - NAME";

Error no_archive(const std::string& path, bool empty) {
  Error error(Errc::kCorrupt,
              shown(path) + ": is neither a tar archive nor a compressed one" + (empty ? ": it is empty" : ""));
  if (empty && path == "-")
    return std::move(error).with_hint("see why what was to write to it wrote nothing, and try again");
  return std::move(error).with_hint(kPackHint);
}

Result<Input> open_archive(const LoadOptions& options) {
  const std::string& path = options.path;
  const bool given = options.file.get() >= 0;
  if (!given && path == "-") {
    ASSIGN_OR_RETURN(UniqueFd input, sys::dup_cloexec(BorrowedFd(STDIN_FILENO)));
    return Input{std::move(input), 0};
  }
  ASSIGN_OR_RETURN(UniqueFd file, given ? sys::dup_cloexec(options.file) : open_input(path));
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(file));
  if (S_ISDIR(info.st_mode)) {
    DirectorySource directory(io::RootDir::adopt(std::move(file)));
    ASSIGN_OR_RETURN(const bool is_image, looks_like_image(directory));
    ASSIGN_OR_RETURN(const bool is_skopeo_dir, looks_like_skopeo_dir(directory));
    if (is_image || is_skopeo_dir) return is_image_error(path);
    return Error(Errc::kInvalidArgument, quoted(path) + " is a directory")
        .with_hint("pack it first: tar -C DIR -c . | cooper image import -");
  }
  return Input{std::move(file), S_ISREG(info.st_mode) ? static_cast<std::uint64_t>(info.st_size) : 0};
}

// Everything of the request is checked before a byte is read.
Result<oci_image::ImageConfig> make_config(const ImportOptions& options) {
  oci_image::ImageConfig config;
  ASSIGN_OR_RETURN(config.created, rfc3339(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())));
  config.platform = options.source.platform.value_or(oci_image::host_platform());
  for (const std::string& change : options.changes) RETURN_IF_ERROR(apply_change(change, config));
  config.history.push_back({.created = config.created,
                            .created_by = "cooper image import",
                            .comment = options.message.empty() ? "imported from a root file system" : options.message,
                            .empty_layer = false});
  return config;
}

Result<LayerOutput> unpack_input(Staging& staging, Input input, const LoadOptions& options, TreeBuilder& builder) {
  ASSIGN_OR_RETURN(auto blob, staging.new_blob());
  std::uint64_t done = 0;
  auto source = std::make_unique<ImportSource>(input.fd, options.cancel, done);
  std::vector<LayerInput> inputs;
  inputs.push_back({.what = shown(options.path), .source = std::move(source), .copy = std::move(blob.file)});
  // Called while the source is read.
  const LayerProgress progress = [&](std::size_t, std::uint64_t) {
    if (options.progress) options.progress("reading", done, input.size_bytes);
  };
  const std::string what = inputs.front().what;
  auto outputs = process_layers(std::move(inputs), &builder, progress, staging.job().fd());
  // Nothing could be read as an entry: this is no archive rather than a broken one.
  if (!outputs.ok() && builder.entries() == 0 && outputs.error().code() == Errc::kCorrupt &&
      outputs.error().message().starts_with(what + ": tar: "))
    return no_archive(options.path, done == 0);
  if (!outputs.ok()) return std::move(outputs).error();
  return std::move(outputs->front());
}

}  // namespace

Status Store::check(const ImportOptions& options) {
  const auto config = make_config(options);
  if (!config.ok()) return Error(Errc::kInvalidArgument, config.error().message()).with_hint(config.error().hint());
  if (options.source.name.empty()) return {};
  auto name = full_name(options.source.name, oci_image::kLocalRegistry);
  if (!name.ok()) return std::move(name).error();
  return {};
}

Result<Image> import_rootfs(BorrowedFd store, const ImportOptions& options) {
  ASSIGN_OR_RETURN(oci_image::ImageConfig config, make_config(options));
  std::vector<std::string> names;
  if (!options.source.name.empty()) {
    ASSIGN_OR_RETURN(std::string name, full_name(options.source.name, oci_image::kLocalRegistry));
    names.push_back(std::move(name));
  }
  if (options.source.admit) {
    if (Status admitted = options.source.admit(Transport::kRootfsTar); !admitted.ok())
      return std::move(admitted).error().with(shown(options.source.path));
  }
  ASSIGN_OR_RETURN(Input input, open_archive(options.source));
  (void)!remove_stale_jobs(store).ok();
  ASSIGN_OR_RETURN(Staging staging, Staging::create(store));
  // The name of the tree follows from the bytes: until they are known it has another one.
  const std::string pending(64, '0');
  ASSIGN_OR_RETURN(const UniqueFd rootfs, staging.new_tree(pending));
  TreeBuilder builder(rootfs);
  builder.require_end_mark();
  builder.refuse_whiteouts();
  ASSIGN_OR_RETURN(const LayerOutput layer, unpack_input(staging, std::move(input), options.source, builder));
  if (builder.entries() == 0) {
    return Error(Errc::kInvalidArgument, shown(options.source.path) + ": the archive holds no files")
        .with_hint(kPackHint);
  }
  ASSIGN_OR_RETURN(UniqueFd unpacked, sys::dup_cloexec(rootfs));
  DirectorySource content(io::RootDir::adopt(std::move(unpacked)));
  ASSIGN_OR_RETURN(const bool is_image, looks_like_image(content));
  if (is_image) return is_image_error(options.source.path);
  config.diff_ids = {layer.diff_id};
  const std::string chain = chain_of(config.diff_ids);
  RETURN_IF_ERROR(staging.rename_tree(pending, chain));
  RETURN_IF_ERROR(staging.seal_tree(chain, builder));
  RETURN_IF_ERROR(staging.keep_blob(0, layer.digest));

  const std::string config_bytes = oci_image::print(config);
  const Digest id = codec::digest_of(config_bytes);
  const auto descriptor = [](std::string_view type, const Digest& digest, std::uint64_t size) {
    return oci_image::Descriptor{
        .media_type = std::string(type), .digest = digest, .size_bytes = size, .annotations = {}, .platform = {}};
  };
  const oci_image::Manifest manifest{
      .media_type = {},
      .artifact_type = {},
      .config = descriptor(oci_image::kMediaTypeConfig, id, config_bytes.size()),
      .layers = {descriptor(layer_media_type(layer.compression), layer.digest, layer.size_bytes)},
      .annotations = {}};
  const std::string manifest_bytes = oci_image::print(manifest);
  Image image{.id = id, .manifest_digest = codec::digest_of(manifest_bytes)};
  RETURN_IF_ERROR(staging.add_blob(image.id, config_bytes));
  RETURN_IF_ERROR(staging.add_blob(image.manifest_digest, manifest_bytes));
  image.names = std::move(names);
  image.created = config.created;
  image.size_bytes = layer.plain_bytes;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  image.loaded_unix_ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  image.layers = {layer.digest};
  image.layer_bytes = {layer.plain_bytes};
  image.chain = chain;
  std::vector<Image> images;
  images.push_back(std::move(image));
  RETURN_IF_ERROR(staging.commit(images));
  return std::move(images.front());
}

}  // namespace cooper::image
