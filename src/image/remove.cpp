#include "image/internal/remove.h"

#include <map>
#include <optional>
#include <set>

#include "base/strings.h"
#include "image/internal/cleanup.h"
#include "image/internal/find.h"
#include "image/internal/paths.h"
#include "image/internal/records.h"
#include "image/internal/trees.h"

namespace cooper::image {
namespace {

class Removal {
 public:
  Removal(BorrowedFd store, bool force) : store_(store), records_(store), force_(force) {}

  Status begin() { return records_.remember_ids(); }
  // What a reference stands for before anything is removed.
  struct Target {
    Digest id;
    std::optional<std::string> name;  // when it was found by one
    auto operator<=>(const Target&) const = default;
  };
  Result<Target> find(const std::string& reference) const;
  // What an earlier one has removed is removed.
  Result<RemoveResult> remove(const Target& target);
  // Once, at the end: the bytes of what is gone.
  Status finish();

 private:
  Status check(const FoundImage& found);
  Status check_unused(const Image& image);

  BorrowedFd store_;
  Records records_;
  bool force_;
  // Images that have a tree, by its chain; read when it is asked for.
  std::optional<std::map<std::string, std::size_t>> with_tree_;
  std::set<Target> done_;
  std::set<Digest> deleted_;
  std::vector<Digest> blobs_;
  std::vector<std::string> trees_;
};

// Errc::kBusy while a container runs on, or keeps its changes on top of, a tree that only this image stands for.
Status Removal::check_unused(const Image& image) {
  ASSIGN_OR_RETURN(const auto users, Trees(store_).all_users(image.chain));
  if (users.empty()) return {};
  if (!with_tree_) {
    ASSIGN_OR_RETURN(const auto images, records_.images());
    with_tree_.emplace();
    for (const Image& one : images) ++(*with_tree_)[one.chain];
  }
  if ((*with_tree_)[image.chain] > 1) return {};
  return Error(Errc::kBusy, "image " + std::string(image.id.hex().substr(0, 12)) + " is in use by " +
                                std::to_string(users.size()) + " container(s), " + users.front() +
                                (users.size() > 1 ? " among them" : ""))
      .with_hint("remove them first, or use --force: they keep their files");
}

Status Removal::check(const FoundImage& found) {
  if (force_) return {};
  const Image& image = found.image;
  if (!found.name || image.names.size() <= 1) RETURN_IF_ERROR(check_unused(image));
  if (found.name || image.names.size() <= 1) return {};
  return Error(Errc::kBusy,
               "image " + std::string(image.id.hex().substr(0, 12)) + " has several names: " + join(image.names, ", "))
      .with_hint("remove the names one by one, or use --force");
}

Result<Removal::Target> Removal::find(const std::string& reference) const {
  ASSIGN_OR_RETURN(FoundImage found, find_image_and_name(records_, reference));
  return Target{std::move(found.image.id), std::move(found.name)};
}

Result<RemoveResult> Removal::remove(const Target& target) {
  RemoveResult result;
  if (deleted_.contains(target.id) || done_.contains(target)) return result;
  ASSIGN_OR_RETURN(auto stored, records_.image(target.id));
  if (!stored) return Error(Errc::kNotFound, "image " + target.id.str() + " is not in the store");
  const FoundImage found{std::move(*stored), target.name};
  RETURN_IF_ERROR(check(found));
  const Image& image = found.image;
  done_.insert(target);
  if (found.name && image.names.size() > 1) {
    RETURN_IF_ERROR(records_.remove_name(*found.name));
    result.untagged.push_back(*found.name);
    return result;
  }
  // A name goes first: without it the record is that of a nameless image.
  for (const std::string& name : image.names) {
    RETURN_IF_ERROR(records_.drop_name(name));
    result.untagged.push_back(name);
  }
  RETURN_IF_ERROR(records_.remove_image(image.id));
  if (with_tree_) --(*with_tree_)[image.chain];
  for (Digest& blob : blobs_of(image)) blobs_.push_back(std::move(blob));
  trees_.push_back(image.chain);
  trees_.push_back(erofs_tree(image.chain));
  result.deleted.push_back(image.id);
  deleted_.insert(image.id);
  return result;
}

Status Removal::finish() {
  if (blobs_.empty()) return {};
  // Before the bytes go: no power cut brings back a name without them.
  RETURN_IF_ERROR(records_.flush());
  ASSIGN_OR_RETURN(const std::uint64_t freed, remove_unreferenced(store_, blobs_, trees_));
  (void)freed;
  return {};
}

}  // namespace

Result<std::vector<Result<RemoveResult>>> remove_images(BorrowedFd store, std::span<const std::string> references,
                                                        bool force) {
  Removal removal(store, force);
  RETURN_IF_ERROR(removal.begin());
  std::vector<Result<Removal::Target>> targets;
  for (const std::string& reference : references) targets.push_back(removal.find(reference));
  std::vector<Result<RemoveResult>> out;
  for (auto& target : targets) {
    if (target.ok()) {
      out.push_back(removal.remove(*target));
    } else if (force && target.error().code() == Errc::kNotFound) {
      out.emplace_back(RemoveResult());
    } else {
      out.emplace_back(std::move(target).error());
    }
  }
  RETURN_IF_ERROR(removal.finish());
  return out;
}

}  // namespace cooper::image
