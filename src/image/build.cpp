// `image build-from-dir`: a directory becomes the layer of an image, alone or on top of another image's.
#include "image/build.h"

#include <algorithm>

#include "base/strings.h"
#include "codec/compressor.h"
#include "codec/digest.h"
#include "codec/tar_writer.h"
#include "image/internal/build_config.h"
#include "image/internal/find.h"
#include "image/internal/ignore_rules.h"
#include "image/internal/intake.h"
#include "image/internal/job.h"
#include "image/internal/load.h"
#include "image/internal/paths.h"
#include "image/internal/plan.h"
#include "image/internal/records.h"
#include "image/internal/staging.h"
#include "image/internal/tree_writer.h"
#include "image/internal/trees.h"
#include "io/file.h"
#include "io/root_dir.h"
#include "spec/oci_image/media_types.h"
#include "spec/oci_image/parse.h"
#include "spec/oci_image/platform.h"
#include "spec/oci_image/print.h"
#include "spec/oci_image/reference.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

using oci_image::Descriptor;

constexpr std::uint64_t kWritebackStep = std::uint64_t{8} << 20;

// Passes bytes on and computes their digest.
class HashingSink final : public codec::ByteSink {
 public:
  using Step = std::function<Status(std::uint64_t written)>;
  HashingSink(codec::ByteSink& sink, Step step) : sink_(sink), step_(std::move(step)) {}
  Status write(std::string_view bytes) override {
    hasher_.update(bytes);
    written_ += bytes.size();
    RETURN_IF_ERROR(sink_.write(bytes));
    return step_(written_);
  }
  Digest finish() { return hasher_.finish(); }
  std::uint64_t written() const { return written_; }

 private:
  codec::ByteSink& sink_;
  Step step_;
  codec::Hasher hasher_;
  std::uint64_t written_ = 0;
};

struct Layer {
  Digest digest;
  Digest diff_id;
  std::uint64_t size_bytes = 0;
  std::int64_t newest_s = 0;
};

// What is below: its documents and layers, all of them held by the staging area.
struct Base {
  oci_image::Manifest manifest;
  std::string config_bytes;
  oci_image::ImageConfig config;
};

class Builder {
 public:
  Builder(BorrowedFd store, const BuildOptions& options) : store_(store), options_(options) {}

  Result<Image> run();

 private:
  Status open_directory();
  Status read_rules();
  Result<Base> take_base();
  Result<Layer> write_layer();
  Status step(std::uint64_t written) const;
  Result<ImagePlan> plan(const Layer& layer);
  Result<std::vector<OpenLayer>> open_layers(const ImagePlan& plan);

  BorrowedFd store_;
  const BuildOptions& options_;
  std::optional<Staging> staging_;
  UniqueFd directory_;
  IgnoreRules rules_;
  std::string leave_out_;
  std::optional<Base> base_;
};

Status Builder::open_directory() {
  ASSIGN_OR_RETURN(directory_, sys::openat(sys::kCwd, options_.directory, O_RDONLY | O_DIRECTORY));
  return {};
}

Status Builder::read_rules() {
  if (options_.ignore_file.empty()) {
    ASSIGN_OR_RETURN(UniqueFd dir, sys::dup_cloexec(directory_));
    const io::RootDir root = io::RootDir::adopt(std::move(dir));
    const std::string name(kIgnoreFile);
    auto info = root.stat_at(name);
    if (!info.ok() && info.error().code() != Errc::kNotFound) return std::move(info).error();
    if (info.ok()) {
      leave_out_ = name;
      if (!S_ISREG(info->st_mode)) return Error(Errc::kInvalidArgument, quoted(name) + " is not a regular file");
      ASSIGN_OR_RETURN(const std::string text, root.read_file(name, kMaxIgnoreBytes));
      if (Status added = rules_.add_lines(text); !added.ok()) return std::move(added).error().with(quoted(name));
    }
  } else {
    ASSIGN_OR_RETURN(const std::string text, io::read_regular_file(options_.ignore_file, kMaxIgnoreBytes));
    if (Status added = rules_.add_lines(text); !added.ok())
      return std::move(added).error().with(quoted(options_.ignore_file));
  }
  for (const std::string& pattern : options_.excludes) RETURN_IF_ERROR(rules_.add(pattern));
  return {};
}

Result<Base> Builder::take_base() {
  // Nobody takes it away between its being found and its being held.
  ASSIGN_OR_RETURN(const io::FileLock guard, take_lock(store_, kStoreLock, io::FileLock::Mode::kExclusive));
  ASSIGN_OR_RETURN(const Image image, find_image(Records(store_), options_.from));
  const auto take = [&]() -> Result<Base> {
    ASSIGN_OR_RETURN(std::string manifest_bytes, read_stored_document(store_, image.manifest_digest, "manifest"));
    ASSIGN_OR_RETURN(oci_image::Manifest manifest, oci_image::parse_manifest(std::move(manifest_bytes), "manifest"));
    ASSIGN_OR_RETURN(std::string config_bytes, read_stored_document(store_, image.config_digest(), "configuration"));
    ASSIGN_OR_RETURN(oci_image::ImageConfig config, oci_image::parse_config(config_bytes, "configuration"));
    if (config.diff_ids.size() != manifest.layers.size())
      return Error(Errc::kCorrupt, "manifest and configuration differ in layers");
    for (const Descriptor& layer : manifest.layers) {
      ASSIGN_OR_RETURN(const bool held, staging_->pin_blob(layer.digest, layer.size_bytes));
      if (!held) return Error(Errc::kNotFound, "layer " + layer.digest.str() + " is missing", ENOENT);
    }
    return Base{std::move(manifest), std::move(config_bytes), std::move(config)};
  };
  auto base = take();
  if (!base.ok()) return reload_hint(std::move(base).error(), image);
  return base;
}

Status Builder::step(std::uint64_t written) const {
  if (options_.cancelled && options_.cancelled()) return Error(Errc::kCancelled, "interrupted", ECANCELED);
  if (options_.progress) options_.progress("packing", written, 0);
  return {};
}

Result<Layer> Builder::write_layer() {
  ASSIGN_OR_RETURN(auto blob, staging_->new_blob());
  codec::FdSink file(blob.file);
  std::uint64_t flushed = 0;
  HashingSink stored(file, [&](std::uint64_t written) -> Status {
    if (written - flushed >= kWritebackStep) {
      sys::start_writeback(blob.file);
      flushed = written;
    }
    return {};
  });
  ASSIGN_OR_RETURN(const auto compressor, codec::make_compressor(options_.compression, stored));
  HashingSink plain(*compressor, [&](std::uint64_t written) { return step(written); });
  codec::tar::Writer writer(plain);
  const TreeWriteOptions options{.prefix = {},
                                 // On top of others its directory is that of the image below.
                                 .with_root = !base_,
                                 .for_a_layer = true,
                                 .owner = options_.owner,
                                 .newest_s = options_.created_s,
                                 .rules = rules_.empty() ? nullptr : &rules_,
                                 .leave_out = leave_out_,
                                 .skipped = options_.skipped};
  auto written = write_tree(directory_, options, writer);
  if (!written.ok()) {
    Error error = std::move(written).error();
    return error.code() == Errc::kCancelled ? std::move(error) : std::move(error).with(quoted(options_.directory));
  }
  if (written->entries == 0)
    return Error(Errc::kInvalidArgument, quoted(options_.directory) + " holds no files for an image");
  RETURN_IF_ERROR(writer.finish());
  RETURN_IF_ERROR(compressor->finish());
  Layer layer{.digest = stored.finish(), .diff_id = plain.finish(), .size_bytes = stored.written()};
  layer.newest_s = written->newest_s;
  RETURN_IF_ERROR(staging_->keep_blob(blob.number, layer.digest));
  return layer;
}

Result<ImagePlan> Builder::plan(const Layer& layer) {
  oci_image::ImageConfig config = base_ ? base_->config : oci_image::ImageConfig();
  if (!base_) config.platform = options_.platform.value_or(oci_image::host_platform());
  RETURN_IF_ERROR(apply_config(options_.config, config));
  ASSIGN_OR_RETURN(config.created, rfc3339(options_.created_s.value_or(layer.newest_s)));
  // Steps stand for the layers in their order: layers without one get one that says nothing.
  const auto steps = std::ranges::count_if(config.history, [](const auto& step) { return !step.empty_layer; });
  for (auto i = static_cast<std::size_t>(steps); i < config.diff_ids.size(); ++i) config.history.emplace_back();
  config.diff_ids.push_back(layer.diff_id);
  config.history.push_back({.created = config.created,
                            .created_by = "cooper image build-from-dir",
                            .comment = options_.message,
                            .empty_layer = false});
  oci_image::Manifest manifest{.media_type = std::string(oci_image::kMediaTypeManifest),
                               .artifact_type = {},
                               .config = {.media_type = std::string(oci_image::kMediaTypeConfig),
                                          .digest = layer.digest,
                                          .size_bytes = 0,
                                          .annotations = {},
                                          .platform = {}},
                               .layers = {},
                               .annotations = options_.annotations};
  std::vector<LayerPlan> layers;
  // Docker's words for layers belong in its own manifests.
  if (base_) manifest.layers = base_->manifest.layers;
  for (Descriptor& below : manifest.layers) below.media_type = oci_image::oci_layer_media_type(below.media_type);
  manifest.layers.push_back({.media_type = std::string(layer_media_type(options_.compression)),
                             .digest = layer.digest,
                             .size_bytes = layer.size_bytes,
                             .annotations = {},
                             .platform = {}});
  for (std::size_t i = 0; i < manifest.layers.size(); ++i) {
    const Descriptor& one = manifest.layers[i];
    layers.push_back({blob_path(one.digest), config.diff_ids[i], one.digest, one.size_bytes});
  }
  std::string config_bytes = oci_image::print(config);
  if (base_) {
    ASSIGN_OR_RETURN(config_bytes, print_over_base(config, base_->config_bytes));
  }
  manifest.config.digest = codec::digest_of(config_bytes);
  manifest.config.size_bytes = config_bytes.size();
  ImagePlan out{.names = {},
                .config_bytes = std::move(config_bytes),
                .config = std::move(config),
                .config_digest = manifest.config.digest,
                .manifest_bytes = oci_image::print(manifest),
                .layers = std::move(layers)};
  if (out.config_bytes.size() > oci_image::kMaxDocumentBytes ||
      out.manifest_bytes.size() > oci_image::kMaxDocumentBytes)
    return Error(Errc::kLimit,
                 "the image's configuration is larger than " + format_bytes(oci_image::kMaxDocumentBytes));
  return out;
}

// Read again as those of any image are: what is unpacked is what was checked.
Result<std::vector<OpenLayer>> Builder::open_layers(const ImagePlan& plan) {
  std::vector<OpenLayer> out;
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    const LayerPlan& layer = plan.layers[i];
    ASSIGN_OR_RETURN(UniqueFd file, staging_->open_blob(*layer.digest));
    const BorrowedFd fd = file;
    out.push_back(
        {.input = {.what = layer_name(i, plan.layers.size(), layer),
                   .source = std::make_unique<FileRange>(SourceFile{std::move(file), fd, 0, *layer.size_bytes}),
                   .digest = layer.digest,
                   .size_bytes = layer.size_bytes,
                   .diff_id = layer.diff_id},
         .bytes = *layer.size_bytes});
  }
  return out;
}

Result<Image> Builder::run() {
  std::vector<std::string> names;
  if (!options_.name.empty()) {
    ASSIGN_OR_RETURN(std::string name, full_name(options_.name, oci_image::kLocalRegistry));
    names.push_back(std::move(name));
  }
  RETURN_IF_ERROR(open_directory());
  if (options_.admit) RETURN_IF_ERROR(options_.admit(directory_));
  RETURN_IF_ERROR(read_rules());
  (void)!remove_stale_jobs(store_).ok();
  ASSIGN_OR_RETURN(Staging staging, Staging::create(store_));
  staging_.emplace(std::move(staging));
  if (!options_.from.empty()) {
    ASSIGN_OR_RETURN(base_, take_base());
    if (base_->config.diff_ids.size() >= oci_image::kMaxLayers)
      return Error(Errc::kLimit, "image " + quoted(options_.from) + " has " + std::to_string(oci_image::kMaxLayers) +
                                     " layers already, the most an image can have");
  }
  ASSIGN_OR_RETURN(const Layer layer, write_layer());
  ASSIGN_OR_RETURN(ImagePlan plan, this->plan(layer));
  plan.names = std::move(names);
  ASSIGN_OR_RETURN(Image image, take_in(
                                    store_, *staging_, plan, [&] { return open_layers(plan); }, options_.progress));
  if (options_.cancelled && options_.cancelled()) return Error(Errc::kCancelled, "interrupted", ECANCELED);
  std::vector<Image> images = {std::move(image)};
  RETURN_IF_ERROR(staging_->commit(images));
  return std::move(images.front());
}

}  // namespace

Status Store::check(const BuildOptions& options) {
  oci_image::ImageConfig config;
  RETURN_IF_ERROR(apply_config(options.config, config));
  if (options.created_s) RETURN_IF_ERROR(rfc3339(*options.created_s));
  if (!options.from.empty() && options.platform)
    return Error(Errc::kInvalidArgument, "the platform of an image is that of the image below it");
  IgnoreRules rules;
  for (const std::string& pattern : options.excludes) RETURN_IF_ERROR(rules.add(pattern));
  if (!options.name.empty()) RETURN_IF_ERROR(full_name(options.name, oci_image::kLocalRegistry));
  return {};
}

Result<Image> build_image(BorrowedFd store, const BuildOptions& options) {
  return Builder(store, options).run();
}

}  // namespace cooper::image
