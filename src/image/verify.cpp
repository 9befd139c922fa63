#include "image/verify.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/strings.h"
#include "codec/digest.h"
#include "image/internal/blob_check.h"
#include "image/internal/cleanup.h"
#include "image/internal/compare.h"
#include "image/internal/erofs_tree.h"
#include "image/internal/find.h"
#include "image/internal/paths.h"
#include "image/internal/plan.h"
#include "image/internal/records.h"
#include "image/internal/trees.h"
#include "image/internal/verify.h"
#include "spec/oci_image/parse.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

using State = VerifiedBlob::State;

constexpr std::size_t kManifest = 0;  // of the blobs of an image
constexpr std::size_t kConfig = 1;
constexpr std::size_t kFirstLayer = 2;

struct Job {
  explicit Job(Image image) : report({.image = std::move(image)}) {}
  VerifiedImage report;
  std::vector<std::optional<std::uint64_t>> layer_bytes;  // as they are stored; none: the manifest cannot say
  std::vector<Digest> diff_ids;                           // empty: the configuration cannot say
  bool comparable = false;
  // All that may be read of it.
  std::uint64_t likely_bytes(BorrowedFd store) const;
  std::string shown() const {
    const Image& image = report.image;
    if (!image.given_names.empty()) return image.given_names.front();
    return image.names.empty() ? std::string(image.id.hex().substr(0, 12)) : image.names.front();
  }
  Digest layer(std::size_t index) const { return report.blobs[kFirstLayer + index].digest; }
};

std::uint64_t Job::likely_bytes(BorrowedFd store) const {
  std::uint64_t sum = 0;
  for (const auto& layer : layer_bytes) sum += layer.value_or(0);
  const std::string& chain = report.image.chain;
  if (!check_chain(chain).ok()) return sum;
  if (sys::fstatat(store, tree_path(chain)).ok()) sum += report.image.size_bytes;
  const auto erofs = sys::fstatat(store, tree_path(erofs_tree(chain)) + "/rootfs");
  return erofs.ok() ? sum + static_cast<std::uint64_t>(erofs->st_size) : sum;
}

struct TreeFinding {
  TreeState state = TreeState::kNotUnpacked;
  std::string message;
  TreeCheck check;
  std::vector<std::string> users;
  struct stat directory = {};
};

std::size_t common_prefix(const std::vector<Digest>& a, const std::vector<Digest>& b) {
  return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

class Verifier {
 public:
  Verifier(BorrowedFd store, const VerifyOptions& options)
      : store_(store), options_(options), blobs_(store, options.watch) {}

  Result<std::vector<VerifiedImage>> run();

 private:
  Status choose_images();
  Status read_documents(Job& job);
  Status read_manifest(Job& job);
  Status read_config(Job& job);
  Status compare_trees();
  Status compare_tree(Job& job, std::size_t shared_with_next);
  Result<TreeFinding> compare_one(const FileModel& model, const Image& image);
  // Keeps a copy of the model when it has `keep_at` layers. False: one of the layers is damaged, or cannot be unpacked.
  Result<bool> add_layers(Job& job, FileModel& model, std::size_t from, std::size_t keep_at);
  Result<std::optional<FileModel>> model_of(Job& job, std::size_t keep_at);
  Status read_layers(Job& job);
  Status repair();
  Status repair_tree(Job& job);
  Status check_erofs(Job& job);
  Status repair_erofs(Job& job);

  BorrowedFd store_;
  const VerifyOptions& options_;
  BlobCheck blobs_;
  std::vector<Job> jobs_;
  std::set<std::string> compared_;                 // chains
  std::map<std::string, TreeFinding> trees_;       // by chain
  std::map<std::string, ErofsCheck> erofs_trees_;  // by chain
  // Models of the first layers of the image at hand, which further images begin with, too: how many layers, and which.
  struct Kept {
    std::vector<Digest> diff_ids;
    FileModel model;
  };
  std::vector<Kept> kept_;
};

Status Verifier::choose_images() {
  const Records records(store_);
  if (!options_.references.empty()) {
    for (const std::string& reference : options_.references) {
      ASSIGN_OR_RETURN(FoundImage found, find_image_and_name(records, reference));
      if (found.name) found.image.given_names = {*found.name};
      const bool again =
          std::ranges::any_of(jobs_, [&](const Job& job) { return job.report.image.id == found.image.id; });
      if (!again) jobs_.emplace_back(std::move(found.image));
    }
    return {};
  }
  // Nobody changes records meanwhile: one that is listed can be read.
  ASSIGN_OR_RETURN(const io::FileLock guard, take_lock(store_, kStoreLock, io::FileLock::Mode::kShared));
  ASSIGN_OR_RETURN(const auto ids, records.ids_with_prefix(""));
  ASSIGN_OR_RETURN(auto images, records.images());
  std::set<Digest> readable;
  for (Image& image : images) {
    readable.insert(image.id);
    jobs_.emplace_back(std::move(image));
  }
  for (const Digest& id : ids) {
    if (readable.contains(id)) continue;
    jobs_.emplace_back(Image{.id = id, .manifest_digest = id});
    jobs_.back().report.record.emplace_back("the record of the image cannot be read");
  }
  return {};
}

Status Verifier::read_manifest(Job& job) {
  const Image& image = job.report.image;
  ASSIGN_OR_RETURN(auto bytes, blobs_.read_document(job.report, kManifest));
  if (!bytes) return {};
  const auto manifest = oci_image::parse_manifest(std::move(*bytes), "manifest");
  if (!manifest.ok()) {
    job.report.record.push_back(manifest.error().message());
    return {};
  }
  std::vector<Digest> layers;
  for (const oci_image::Descriptor& layer : manifest->layers) layers.push_back(layer.digest);
  if (manifest->config.digest != image.config_digest())
    job.report.record.emplace_back("the manifest is of another image");
  if (layers != image.layers) {
    job.report.record.emplace_back("the record of the image lists other layers than its manifest");
    return {};
  }
  for (std::size_t i = 0; i < layers.size(); ++i) job.layer_bytes[i] = manifest->layers[i].size_bytes;
  job.comparable = true;
  return {};
}

Status Verifier::read_config(Job& job) {
  const Image& image = job.report.image;
  ASSIGN_OR_RETURN(auto bytes, blobs_.read_document(job.report, kConfig));
  if (!bytes) return {};
  const auto config = oci_image::parse_config(std::move(*bytes), "configuration");
  if (!config.ok()) {
    job.report.record.push_back(config.error().message());
  } else if (config->diff_ids.size() != image.layers.size()) {
    job.report.record.emplace_back("manifest and configuration differ in layers");
  } else if (chain_of(config->diff_ids) != image.chain) {
    job.report.record.emplace_back("the record of the image names another tree than its layers make");
  } else {
    job.diff_ids = config->diff_ids;
  }
  return {};
}

Status Verifier::read_documents(Job& job) {
  const Image& image = job.report.image;
  if (!job.report.record.empty()) return {};  // of which nothing is known
  job.report.blobs.push_back({.what = "manifest", .digest = image.manifest_digest});
  job.report.blobs.push_back({.what = "configuration", .digest = image.config_digest()});
  for (std::size_t i = 0; i < image.layers.size(); ++i) {
    job.report.blobs.push_back({.what = "layer " + std::to_string(i + 1) + " of " + std::to_string(image.layers.size()),
                                .digest = image.layers[i]});
  }
  job.layer_bytes.resize(image.layers.size());
  if (image.aci) {
    job.report.blobs.push_back({.what = "manifest of the ACI", .digest = image.aci->manifest});
    job.report.blobs.push_back({.what = "archive of the ACI", .digest = image.id});
  }
  blobs_.begin(job.shown());
  RETURN_IF_ERROR(read_manifest(job));
  RETURN_IF_ERROR(read_config(job));
  job.comparable = job.comparable && job.report.record.empty() && job.report.blobs_good() && !job.report.removed;
  return {};
}

Result<bool> Verifier::add_layers(Job& job, FileModel& model, std::size_t from, std::size_t keep_at) {
  for (std::size_t i = from;; ++i) {
    if (i == keep_at && i != from)
      kept_.push_back({{job.diff_ids.begin(), job.diff_ids.begin() + static_cast<std::ptrdiff_t>(i)}, model});
    if (i == job.diff_ids.size()) return true;
    ASSIGN_OR_RETURN(auto refused,
                     blobs_.read_layer(job.report, kFirstLayer + i, *job.layer_bytes[i], job.diff_ids[i], model));
    if (job.report.removed || job.report.blobs[kFirstLayer + i].state != State::kGood) return false;
    if (refused) {
      job.report.tree_message = job.report.blobs[kFirstLayer + i].what + ": " + *refused;
      return false;
    }
  }
}

// Nothing when a layer is damaged. One that cannot be read is read once more, as disks fail now and then: from a model
// without it on.
Result<std::optional<FileModel>> Verifier::model_of(Job& job, std::size_t keep_at) {
  for (int attempt = 0;; ++attempt) {
    const std::size_t from = kept_.empty() ? 0 : kept_.back().diff_ids.size();
    std::optional<FileModel> model = kept_.empty() ? FileModel() : kept_.back().model;
    ASSIGN_OR_RETURN(const bool whole, add_layers(job, *model, from, keep_at));
    if (whole) return model;
    const bool unreadable = std::ranges::any_of(
        job.report.blobs, [](const VerifiedBlob& blob) { return blob.state == State::kUnreadable; });
    if (!unreadable || job.report.removed || attempt != 0) return std::optional<FileModel>();
  }
}

Result<TreeFinding> Verifier::compare_one(const FileModel& model, const Image& image) {
  TreeFinding out;
  auto tree = sys::openat(store_, tree_path(image.chain), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!tree.ok() && tree.error().errno_value() == ENOENT) return out;
  if (!tree.ok()) return std::move(tree).error();
  ASSIGN_OR_RETURN(out.directory, sys::fstat(*tree));
  ASSIGN_OR_RETURN(const UniqueFd tmp, sys::openat(store_, kTmpDir, O_RDONLY | O_DIRECTORY));
  auto rootfs = sys::openat(*tree, "rootfs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  const bool has_rootfs = rootfs.ok();
  auto check =
      has_rootfs ? compare_with_disk(model, *rootfs, tmp, Medium::kDisk, blobs_.step()) : std::move(rootfs).error();
  if (!check.ok() && check.error().code() == Errc::kCancelled) return std::move(check).error();
  // A tree is moved away before anything of it is removed: what is in its place has been whole.
  auto there = sys::fstatat(store_, tree_path(image.chain));
  if (!there.ok() && there.error().errno_value() != ENOENT) return std::move(there).error();
  if (!there.ok() || there->st_ino != out.directory.st_ino || there->st_dev != out.directory.st_dev) return out;
  if (check.ok()) {
    out.check = std::move(*check);
  } else if (!has_rootfs && check.error().errno_value() == ENOENT) {
    out.check.changes.push_back({.kind = PathChange::Kind::kRemoved, .path = "/", .type = "directory"});
  } else {
    return std::move(check).error();
  }
  out.state = out.check.changes.empty() ? TreeState::kGood : TreeState::kDiffers;
  if (out.state == TreeState::kDiffers) {
    ASSIGN_OR_RETURN(out.users, Trees(store_).users(image.chain));
    std::ranges::sort(out.users);
  }
  return out;
}

Status Verifier::compare_tree(Job& job, std::size_t shared_with_next) {
  const Image& image = job.report.image;
  if (!compared_.insert(image.chain).second) return {};
  ASSIGN_OR_RETURN(const bool unpacked, is_there(store_, tree_path(image.chain)));
  const auto erofs = erofs_trees_.find(image.chain);
  const bool damaged = erofs != erofs_trees_.end() && erofs->second.state == TreeState::kDiffers;
  if (!unpacked && !damaged) return {};
  blobs_.begin(job.shown());
  while (!kept_.empty() && common_prefix(kept_.back().diff_ids, job.diff_ids) < kept_.back().diff_ids.size())
    kept_.pop_back();
  ASSIGN_OR_RETURN(const auto model, model_of(job, shared_with_next));
  if (job.report.removed) return {};
  if (!model && !unpacked) return {};
  if (!model) {
    TreeFinding& finding = trees_[image.chain];
    finding.state = TreeState::kNotCompared;
    finding.message = job.report.tree_message;
    return {};
  }
  if (damaged) RETURN_IF_ERROR(compare_erofs_tree(store_, image.chain, *model, blobs_.step(), erofs->second));
  if (!unpacked) return {};
  ASSIGN_OR_RETURN(trees_[image.chain], compare_one(*model, image));
  return {};
}

// In an order in which images that begin with the same layers follow each other: those layers are read once.
Status Verifier::compare_trees() {
  std::vector<Job*> order;
  for (Job& job : jobs_) {
    if (job.comparable) order.push_back(&job);
  }
  std::ranges::sort(order, [](const Job* a, const Job* b) { return a->diff_ids < b->diff_ids; });
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::size_t shared = i + 1 < order.size() ? common_prefix(order[i]->diff_ids, order[i + 1]->diff_ids) : 0;
    RETURN_IF_ERROR(compare_tree(*order[i], shared));
  }
  kept_.clear();
  return {};
}

// Those that no comparison has read, and what an ACI has besides.
Status Verifier::read_layers(Job& job) {
  blobs_.begin(job.shown());
  for (std::size_t i = 0; i < job.layer_bytes.size() && !job.report.removed; ++i)
    RETURN_IF_ERROR(blobs_.read(job.report, kFirstLayer + i, job.layer_bytes[i]));
  for (std::size_t i = kFirstLayer + job.layer_bytes.size(); i < job.report.blobs.size() && !job.report.removed; ++i)
    RETURN_IF_ERROR(blobs_.read(job.report, i, std::nullopt));
  return {};
}

Status Verifier::repair_tree(Job& job) {
  const auto found = trees_.find(job.report.image.chain);
  if (found == trees_.end() || found->second.state != TreeState::kDiffers || !job.report.blobs_good()) return {};
  const Trees trees(store_);
  ASSIGN_OR_RETURN(const bool removed, trees.remove_unused(job.report.image.chain, found->second.directory));
  if (removed) {
    found->second.state = TreeState::kTakenAway;
  } else {
    ASSIGN_OR_RETURN(found->second.users, trees.users(job.report.image.chain));
  }
  return {};
}

Status Verifier::repair() {
  for (Job& job : jobs_) {
    if (job.report.removed) continue;
    RETURN_IF_ERROR(blobs_.take_away(job.report));
    RETURN_IF_ERROR(repair_tree(job));
    RETURN_IF_ERROR(repair_erofs(job));
  }
  return {};
}

Status Verifier::check_erofs(Job& job) {
  const std::string& chain = job.report.image.chain;
  if (job.report.removed || !check_chain(chain).ok() || erofs_trees_.contains(chain)) return {};
  blobs_.begin(job.shown());
  ASSIGN_OR_RETURN(erofs_trees_[chain], check_erofs_tree(store_, chain, blobs_.step()));
  return {};
}

Status Verifier::repair_erofs(Job& job) {
  const auto found = erofs_trees_.find(job.report.image.chain);
  if (found == erofs_trees_.end() || found->second.state != TreeState::kDiffers || !job.report.blobs_good()) return {};
  const Trees trees(store_);
  const std::string name = erofs_tree(found->first);
  ASSIGN_OR_RETURN(const bool removed, trees.remove_unused(name, found->second.directory));
  if (!removed) {
    ASSIGN_OR_RETURN(found->second.users, trees.users(name));
    return {};
  }
  found->second.state = TreeState::kTakenAway;
  // A user as a container is one: were this to be killed, gc would find that there is no such container.
  const std::string user = PodUuid::random().str();
  Status made = build_erofs_tree(store_, job.report.image, user, options_.watch.progress);
  if (made.ok()) {
    found->second.state = TreeState::kMadeAnew;
    return trees.release_user(name, user);
  }
  found->second.message = made.error().message();
  return {};
}

Result<std::vector<VerifiedImage>> Verifier::run() {
  RETURN_IF_ERROR(choose_images());
  for (Job& job : jobs_) {
    RETURN_IF_ERROR(read_documents(job));
    blobs_.announce(job.shown(), job.likely_bytes(store_));
  }
  for (Job& job : jobs_) RETURN_IF_ERROR(check_erofs(job));
  RETURN_IF_ERROR(compare_trees());
  for (Job& job : jobs_) {
    RETURN_IF_ERROR(read_layers(job));
    blobs_.end(job.shown());
  }
  if (options_.repair) RETURN_IF_ERROR(repair());
  std::vector<VerifiedImage> out;
  for (Job& job : jobs_) {
    VerifiedImage& report = job.report;
    const auto tree = trees_.find(report.image.chain);
    if (tree != trees_.end()) {
      report.tree = tree->second.state;
      report.tree_message = tree->second.message;
      report.tree_entries = tree->second.check.entries;
      report.paths = tree->second.check.changes;
      report.users = tree->second.users;
    } else if (!job.comparable && sys::fstatat(store_, tree_path(report.image.chain) + "/rootfs").ok()) {
      report.tree = TreeState::kNotCompared;
    }
    if (const auto erofs = erofs_trees_.find(report.image.chain); erofs != erofs_trees_.end()) {
      report.erofs = erofs->second.state;
      report.erofs_message = erofs->second.message;
      report.erofs_paths = erofs->second.paths;
      report.erofs_users = erofs->second.users;
    }
    out.push_back(std::move(report));
  }
  return out;
}

}  // namespace

std::string_view to_string(State state) {
  switch (state) {
    case State::kGood:
      return "good";
    case State::kMissing:
      return "missing";
    case State::kCorrupt:
      return "corrupt";
    case State::kUnreadable:
      return "unreadable";
  }
  return "unknown";
}

std::string_view to_string(TreeState state) {
  switch (state) {
    case TreeState::kGood:
      return "good";
    case TreeState::kDiffers:
      return "differs";
    case TreeState::kNotUnpacked:
      return "not-unpacked";
    case TreeState::kNotCompared:
      return "not-compared";
    case TreeState::kTakenAway:
      return "taken-away";
    case TreeState::kMadeAnew:
      return "made-anew";
  }
  return "unknown";
}

bool VerifiedImage::blobs_good() const {
  return std::ranges::all_of(blobs, [](const VerifiedBlob& blob) { return blob.state == State::kGood; });
}

bool VerifiedImage::good() const {
  if (removed) return true;
  return record.empty() && blobs_good() && tree != TreeState::kDiffers && tree != TreeState::kNotCompared &&
         erofs != TreeState::kDiffers;
}

Result<std::vector<VerifiedImage>> verify_images(BorrowedFd store, const VerifyOptions& options) {
  return Verifier(store, options).run();
}

}  // namespace cooper::image
