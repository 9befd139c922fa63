// Holding files against each other; see image/compare.h.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "image/compare.h"
#include "image/internal/file_model.h"

namespace cooper::image {

// What differs of one file. Contents are compared when both have one; links are left to LinkGroups.
std::vector<AspectChange> changes_between(const FileFacts& before, const FileFacts& after);

// Which names are one file, on two sides whose files are walked in the same order. The first name of a file stands for
// it, so that the name that leads elsewhere is the one that is told.
template <typename Before, typename After>
class LinkGroups {
 public:
  // The names, and the number of names, on each side.
  void compare(const std::string& path, const std::pair<Before, std::uint64_t>& before,
               const std::pair<After, std::uint64_t>& after, std::vector<AspectChange>& out) {
    if (before.second < 2 && after.second < 2) return;
    const std::string& first_before = before_.emplace(before.first, path).first->second;
    const std::string& first_after = after_.emplace(after.first, path).first->second;
    if (before.second != after.second)
      out.push_back({Aspect::kLinks, std::to_string(before.second), std::to_string(after.second)});
    if (first_before != first_after)
      out.push_back({Aspect::kLinkedTo, other(first_before, path), other(first_after, path)});
  }

 private:
  static std::optional<std::string> other(const std::string& first, const std::string& path) {
    if (first == path) return std::nullopt;
    return first;
  }
  std::map<Before, std::string> before_;
  std::map<After, std::string> after_;
};

// What the second has added, changed and removed, in the order of the names. Times of directories are passed over:
// every change of what is in them sets them.
std::vector<PathChange> compare_models(const FileModel& before, const FileModel& after);

struct TreeCheck {
  std::vector<PathChange> changes;  // before: what the layers say; after: what is there
  std::uint64_t entries = 0;        // looked at
};
// Asked now and then; an error ends the work.
using CheckStep = std::function<Status(std::uint64_t bytes)>;
enum class Medium {
  kDisk,
  kImage,  // a mounted file, whose bytes may be any
};
// `tmp` is a directory on the file system of the tree, or of what the image was made of: files without a name are made
// there, to learn what it cannot keep (times, attributes), which is no difference then.
Result<TreeCheck> compare_with_disk(const FileModel& model, BorrowedFd rootfs, BorrowedFd tmp, Medium medium,
                                    const CheckStep& step);
// The first path, quoted, at which a copy is not what it was made of (names, types, contents, modes, owners, targets,
// devices), and why it could not be read where that is known; nullopt: it is.
Result<std::optional<std::string>> first_difference(BorrowedFd source, BorrowedFd copy, const CheckStep& step);

}  // namespace cooper::image
