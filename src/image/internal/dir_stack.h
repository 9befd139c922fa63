// Walks directories of a tree that layers are applied to (layer_tree.h), keeping those of the last path open: archives
// list files directory by directory, so most walks are free.
//
// Nothing outside the root can be reached: every component is looked up in its parent without following links, and
// symbolic links are followed here, inside the root: an absolute target starts at the root, and a target that climbs
// above the root is refused (Errc::kPermission). Nobody else may change the tree meanwhile.
#pragma once

#include <algorithm>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/strings.h"
#include "codec/tar.h"
#include "image/internal/layer_path.h"
#include "image/internal/layer_tree.h"

namespace cooper::image {

inline constexpr int kMaxSymlinks = 40;  // as the kernel
// Names that are looked up for one layer, in all. An archive of some kilobytes could ask for any number: by links to
// links that go up and down, or by a deep path after each removal.
class Lookups {
 public:
  explicit Lookups(std::uint64_t max) : max_(max) {}
  Status count() {
    if (++done_ <= max_) return {};
    return Error(Errc::kLimit, "its paths, links and whiteouts need more than " + std::to_string(max_) + " lookups");
  }

 private:
  std::uint64_t max_;
  std::uint64_t done_ = 0;
};

template <typename Handle>
struct EnteredDirectory {
  std::string name;
  Handle handle;
};

// Resolves a link's target inside the root, component by component.
template <typename Tree>
class LinkWalk {
 public:
  using Entry = codec::tar::Entry;
  LinkWalk(Tree& tree, const Entry* made_for, Lookups& lookups) : tree_(tree), made_for_(made_for), lookups_(lookups) {}

  // `base`: real path of the directory the link lies in.
  Status start(std::string_view base, const std::string& target) {
    if (!base.empty()) {
      for (const std::string_view part : split(base, '/')) pending_.emplace_back(part);
    }
    return enter(target);
  }
  // False when something is missing.
  Result<bool> run();
  Result<typename Tree::Handle> take_handle() {
    if (steps_.empty()) return tree_.root_handle();
    return std::move(steps_.back().handle);
  }
  std::string path() const { return real_path({}); }

 private:
  typename Tree::Dir top() const { return steps_.empty() ? tree_.root() : Tree::borrow(steps_.back().handle); }
  Status enter(const std::string& target);
  Result<bool> step(const std::string& name);
  std::string real_path(std::string_view last) const {
    std::string out;
    for (const auto& step : steps_) out = join_path(out, step.name);
    return last.empty() ? out : join_path(out, last);
  }

  Tree& tree_;
  const Entry* made_for_;
  Lookups& lookups_;
  std::deque<std::string> pending_;
  std::vector<EnteredDirectory<typename Tree::Handle>> steps_;
  int links_ = 0;
};

// The target's components come before what is still pending; an absolute one starts at the root.
template <typename Tree>
Status LinkWalk<Tree>::enter(const std::string& target) {
  if (++links_ > kMaxSymlinks) return Error(Errc::kCorrupt, "too many levels of symbolic links", ELOOP);
  const auto parts = split(target, '/');
  if (links_ == 1) {
    // Behind the base; an absolute target drops the base.
    if (target.starts_with('/')) pending_.clear();
    for (const std::string_view part : parts) pending_.emplace_back(part);
    return {};
  }
  if (target.starts_with('/')) steps_.clear();
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) pending_.emplace_front(*part);
  return {};
}

template <typename Tree>
Result<bool> LinkWalk<Tree>::step(const std::string& name) {
  ASSIGN_OR_RETURN(auto found, tree_.find(top(), name));
  switch (found.kind) {
    case FoundKind::kNothing: {
      if (made_for_ == nullptr) return false;
      ASSIGN_OR_RETURN(found.directory, tree_.make_missing(top(), name, real_path(name), *made_for_));
      break;
    }
    case FoundKind::kDirectory:
      break;
    case FoundKind::kLink:
      RETURN_IF_ERROR(enter(found.target));
      return true;
    case FoundKind::kOther:
      return Error(Errc::kCorrupt, cooper::quoted(real_path(name)) + " is not a directory");
  }
  steps_.push_back({name, std::move(found.directory)});
  return true;
}

template <typename Tree>
Result<bool> LinkWalk<Tree>::run() {
  while (!pending_.empty()) {
    const std::string name = std::move(pending_.front());
    pending_.pop_front();
    RETURN_IF_ERROR(lookups_.count());
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      if (steps_.empty()) return Error(Errc::kPermission, "a symbolic link on the way leads out of the root");
      steps_.pop_back();
      continue;
    }
    if (steps_.size() == kMaxPathDepth) return Error(Errc::kLimit, "path is too deep");
    ASSIGN_OR_RETURN(const bool there, step(name));
    if (!there) return false;
  }
  return true;
}

template <typename Tree>
class DirStack {
 public:
  using Entry = codec::tar::Entry;
  struct Directory {
    typename Tree::Dir dir;  // valid until the next walk
    std::string path;        // where it really is, links resolved
  };

  DirStack(Tree& tree, Lookups& lookups) : tree_(tree), lookups_(lookups) {}

  // Directories that are missing are made for `made_for`; with nullptr the answer is then nullopt. Errc::kCorrupt when
  // a component is neither directory nor link to one.
  Result<std::optional<Directory>> walk(std::string_view clean, const Entry* made_for);
  // `name` goes: an open directory may be behind a link of that name.
  void before_removal() {
    if (links_ != 0) invalidate();
  }
  // A directory was removed that may be an open one: the next walk starts afresh.
  void invalidate() { stale_ = true; }

 private:
  struct Level {
    std::string name;
    typename Tree::Handle handle;
    std::string path;
    bool through_link = false;
  };
  typename Tree::Dir top() const { return levels_.empty() ? tree_.root() : Tree::borrow(levels_.back().handle); }
  std::string top_path() const { return levels_.empty() ? std::string() : levels_.back().path; }
  void pop_to(std::size_t depth);
  Result<bool> push(std::string_view name, const Entry* made_for);
  Result<bool> push_link(std::string_view name, const std::string& target, const Entry* made_for);
  Result<bool> descend(std::string_view clean, const Entry* made_for);

  Tree& tree_;
  Lookups& lookups_;
  std::vector<Level> levels_;
  std::string walked_;  // the path the levels stand for
  std::size_t links_ = 0;
  bool stale_ = false;
};

template <typename Tree>
void DirStack<Tree>::pop_to(std::size_t depth) {
  while (levels_.size() > depth) {
    if (levels_.back().through_link) --links_;
    levels_.pop_back();
  }
}

template <typename Tree>
Result<bool> DirStack<Tree>::push_link(std::string_view name, const std::string& target, const Entry* made_for) {
  LinkWalk<Tree> walk(tree_, made_for, lookups_);
  RETURN_IF_ERROR(walk.start(top_path(), target));
  auto there = walk.run();
  if (!there.ok())
    return std::move(there).error().with("link " + cooper::quoted(join_path(top_path(), name)) + " to " +
                                         cooper::quoted(target));
  if (!*there) return false;
  std::string path = walk.path();
  ASSIGN_OR_RETURN(auto handle, walk.take_handle());
  levels_.push_back({std::string(name), std::move(handle), std::move(path), true});
  ++links_;
  return true;
}

template <typename Tree>
Result<bool> DirStack<Tree>::push(std::string_view name, const Entry* made_for) {
  RETURN_IF_ERROR(lookups_.count());
  std::string component(name);
  ASSIGN_OR_RETURN(auto found, tree_.find(top(), component));
  if (found.kind == FoundKind::kLink) return push_link(name, found.target, made_for);
  if (found.kind == FoundKind::kNothing && made_for == nullptr) return false;
  std::string path = join_path(top_path(), name);
  if (found.kind == FoundKind::kOther) return Error(Errc::kCorrupt, cooper::quoted(path) + " is not a directory");
  if (found.kind == FoundKind::kNothing) {
    ASSIGN_OR_RETURN(found.directory, tree_.make_missing(top(), component, path, *made_for));
  }
  levels_.push_back({std::move(component), std::move(found.directory), std::move(path), false});
  return true;
}

// From what the levels have in common with the path.
template <typename Tree>
Result<bool> DirStack<Tree>::descend(std::string_view clean, const Entry* made_for) {
  std::size_t depth = 0;
  while (!clean.empty()) {
    const std::size_t slash = std::min(clean.find('/'), clean.size());
    const std::string_view part = clean.substr(0, slash);
    clean.remove_prefix(std::min(slash + 1, clean.size()));
    if (depth == levels_.size() || levels_[depth].name != part) {
      pop_to(depth);
      ASSIGN_OR_RETURN(const bool there, push(part, made_for));
      if (!there) return false;
    }
    ++depth;
  }
  pop_to(depth);
  return true;
}

template <typename Tree>
auto DirStack<Tree>::walk(std::string_view clean, const Entry* made_for) -> Result<std::optional<Directory>> {
  if (stale_) {
    pop_to(0);
    walked_.clear();
    stale_ = false;
  }
  if (clean != walked_) {
    walked_.clear();  // not known while it changes
    auto there = descend(clean, made_for);
    if (!there.ok() || !*there) {
      pop_to(0);
      if (!there.ok()) return std::move(there).error();
      return std::optional<Directory>();
    }
    walked_ = clean;
  }
  return std::optional(Directory{top(), top_path()});
}

}  // namespace cooper::image
