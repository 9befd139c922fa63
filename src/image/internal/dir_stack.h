// Walks directories below a root that is being unpacked, keeping the descriptors of the last path open: archives list
// files directory by directory, so most walks are free.
//
// Nothing outside the root can be reached: every component is opened with O_NOFOLLOW below its parent's descriptor, and
// symbolic links are followed here, inside the root: an absolute target starts at the root, and a target that climbs
// above the root is refused (Errc::kPermission). Nobody else may change the tree meanwhile.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::image {

inline constexpr std::size_t kMaxPathDepth = 400;
inline constexpr int kMaxSymlinks = 40;  // as the kernel

// The name of an archive member as a path below the root, "" for the root itself: no leading slash, no empty, "." or
// ".." components. Errc::kPermission when ".." climbs above the root, Errc::kLimit when deeper than kMaxPathDepth.
Result<std::string> clean_path(std::string_view raw);
// ("a/b", "c") of "a/b/c"; ("", "a") of "a".
std::pair<std::string_view, std::string_view> split_parent(std::string_view clean);

class DirStack {
 public:
  enum class Missing { kFail, kCreate };
  struct Directory {
    BorrowedFd fd;     // O_RDONLY; valid until the next walk
    std::string path;  // where it really is, links resolved
  };

  explicit DirStack(BorrowedFd root) : root_(root) {}

  // nullopt when a component does not exist (kFail). Errc::kCorrupt when one is neither directory nor link to one.
  Result<std::optional<Directory>> walk(std::string_view clean, Missing missing);
  // Real paths of the directories that were made (0700) since the last call.
  std::vector<std::string> take_created() { return std::exchange(created_, {}); }
  // Something was removed that an open descriptor may belong to: the next walk starts afresh.
  void invalidate() { stale_ = true; }
  bool passes_links() const { return links_ != 0; }

 private:
  struct Level {
    std::string name;
    UniqueFd fd;
    std::string path;
    bool through_link = false;
  };
  BorrowedFd top() const { return levels_.empty() ? root_ : levels_.back().fd.borrow(); }
  std::string top_path() const { return levels_.empty() ? std::string() : levels_.back().path; }
  void pop_to(std::size_t depth);
  Result<bool> push(std::string_view name, Missing missing);
  Result<bool> push_link(std::string_view name, const std::string& target, Missing missing);

  BorrowedFd root_;
  std::vector<Level> levels_;
  std::string walked_;  // the path the levels stand for
  std::vector<std::string> created_;
  std::size_t links_ = 0;
  bool stale_ = false;
};

}  // namespace cooper::image
