#include "image/internal/dir_stack.h"

#include <deque>

#include "base/strings.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

std::string join_path(std::string_view parent, std::string_view name) {
  std::string out(parent);
  if (!out.empty()) out += '/';
  out += name;
  return out;
}

// Opens (or makes) one directory. nullopt: not there. ENOTDIR comes back as an error for the caller to look at.
Result<std::optional<UniqueFd>> open_component(BorrowedFd parent, const std::string& name, bool create, bool& created) {
  created = false;
  for (int attempt = 0; attempt < 2; ++attempt) {
    auto fd = sys::openat(parent, name, kOpenDirectory);
    if (fd.ok()) return std::optional(std::move(*fd));
    if (fd.error().errno_value() != ENOENT) return std::move(fd).error();
    if (!create) return std::optional<UniqueFd>();
    RETURN_IF_ERROR(sys::mkdirat(parent, name, 0700));
    created = true;
  }
  return Error(Errc::kInternal, "directory " + quoted(name) + " vanished");
}

Result<std::string> read_link_target(BorrowedFd parent, const std::string& name, const std::string& path) {
  auto target = sys::readlinkat(parent, name);
  if (target.ok()) return target;
  if (target.error().errno_value() != EINVAL) return std::move(target).error();
  return Error(Errc::kCorrupt, quoted(path) + " is not a directory");
}

// Resolves a link's target inside the root, component by component.
class LinkWalk {
 public:
  LinkWalk(BorrowedFd root, bool create, std::vector<std::string>& created)
      : root_(root), create_(create), created_(created) {}

  // `base`: real path of the directory the link lies in.
  Status start(std::string_view base, const std::string& target) {
    if (!base.empty()) {
      for (const std::string_view part : split(base, '/')) pending_.emplace_back(part);
    }
    return enter(target);
  }
  // False when something is missing.
  Result<bool> run();
  UniqueFd take_fd(BorrowedFd root);
  const std::string& path() const { return path_; }

 private:
  struct Step {
    std::string name;
    UniqueFd fd;
  };
  BorrowedFd top() const { return steps_.empty() ? root_ : steps_.back().fd.borrow(); }
  Status enter(const std::string& target);
  Result<bool> step(const std::string& name);
  std::string real_path(const std::string& last) const {
    std::string out;
    for (const Step& step : steps_) out += step.name + "/";
    return out + last;
  }

  BorrowedFd root_;
  bool create_;
  std::vector<std::string>& created_;
  std::deque<std::string> pending_;
  std::vector<Step> steps_;
  std::string path_;
  int links_ = 0;
};

// The target's components come before what is still pending; an absolute one starts at the root.
Status LinkWalk::enter(const std::string& target) {
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

Result<bool> LinkWalk::step(const std::string& name) {
  bool created = false;
  auto fd = open_component(top(), name, create_, created);
  if (fd.ok()) {
    if (!*fd) return false;
    if (created) created_.push_back(real_path(name));
    steps_.push_back({name, std::move(**fd)});
    return true;
  }
  if (fd.error().errno_value() != ENOTDIR && fd.error().errno_value() != ELOOP) return std::move(fd).error();
  ASSIGN_OR_RETURN(const std::string target, read_link_target(top(), name, real_path(name)));
  RETURN_IF_ERROR(enter(target));
  return true;
}

Result<bool> LinkWalk::run() {
  while (!pending_.empty()) {
    const std::string name = std::move(pending_.front());
    pending_.pop_front();
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
  path_ = real_path("");
  if (!path_.empty()) path_.pop_back();
  return true;
}

UniqueFd LinkWalk::take_fd(BorrowedFd root) {
  if (!steps_.empty()) return std::move(steps_.back().fd);
  auto copy = sys::dup_cloexec(root);
  return copy.ok() ? std::move(*copy) : UniqueFd();
}

}  // namespace

Result<std::string> clean_path(std::string_view raw) {
  if (raw.find('\0') != std::string_view::npos)
    return Error(Errc::kCorrupt, "name " + quoted(raw) + " holds a NUL byte");
  std::string out;
  out.reserve(raw.size());
  std::size_t depth = 0;
  while (!raw.empty()) {
    const std::size_t slash = std::min(raw.find('/'), raw.size());
    const std::string_view part = raw.substr(0, slash);
    raw.remove_prefix(std::min(slash + 1, raw.size()));
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (depth == 0) return Error(Errc::kPermission, "name leads out of the root");
      const std::size_t last = out.rfind('/');
      out.resize(last == std::string::npos ? 0 : last);
      --depth;
      continue;
    }
    if (++depth > kMaxPathDepth)
      return Error(Errc::kLimit, "path is deeper than " + std::to_string(kMaxPathDepth) + " directories");
    if (!out.empty()) out += '/';
    out += part;
  }
  return out;
}

std::pair<std::string_view, std::string_view> split_parent(std::string_view clean) {
  const std::size_t slash = clean.rfind('/');
  if (slash == std::string_view::npos) return {{}, clean};
  return {clean.substr(0, slash), clean.substr(slash + 1)};
}

void DirStack::pop_to(std::size_t depth) {
  while (levels_.size() > depth) {
    if (levels_.back().through_link) --links_;
    levels_.pop_back();
  }
}

Result<bool> DirStack::push_link(std::string_view name, const std::string& target, Missing missing) {
  LinkWalk walk(root_, missing == Missing::kCreate, created_);
  RETURN_IF_ERROR(walk.start(top_path(), target));
  auto there = walk.run();
  if (!there.ok())
    return std::move(there).error().with("link " + quoted(join_path(top_path(), name)) + " to " + quoted(target));
  if (!*there) return false;
  UniqueFd fd = walk.take_fd(root_);
  if (!fd.valid()) return Error::from_errno(EMFILE, "open the directory behind a link");
  levels_.push_back({std::string(name), std::move(fd), walk.path(), true});
  ++links_;
  return true;
}

Result<bool> DirStack::push(std::string_view name, Missing missing) {
  const std::string component(name);
  bool created = false;
  auto fd = open_component(top(), component, missing == Missing::kCreate, created);
  if (fd.ok()) {
    if (!*fd) return false;
    std::string path = join_path(top_path(), name);
    if (created) created_.push_back(path);
    levels_.push_back({component, std::move(**fd), std::move(path), false});
    return true;
  }
  if (fd.error().errno_value() != ENOTDIR && fd.error().errno_value() != ELOOP) return std::move(fd).error();
  ASSIGN_OR_RETURN(std::string target, read_link_target(top(), component, join_path(top_path(), name)));
  return push_link(name, target, missing);
}

Result<std::optional<DirStack::Directory>> DirStack::walk(std::string_view clean, Missing missing) {
  if (stale_) {
    pop_to(0);
    walked_.clear();
    stale_ = false;
  }
  if (clean != walked_) {
    std::size_t depth = 0;
    std::string_view rest = clean;
    const auto next = [&] {
      const std::size_t slash = std::min(rest.find('/'), rest.size());
      const std::string_view part = rest.substr(0, slash);
      rest.remove_prefix(std::min(slash + 1, rest.size()));
      return part;
    };
    walked_.clear();  // not known while it changes
    while (!rest.empty()) {
      const std::string_view part = next();
      if (depth < levels_.size() && levels_[depth].name == part) {
        ++depth;
        continue;
      }
      pop_to(depth);
      auto pushed = push(part, missing);
      if (!pushed.ok() || !*pushed) {
        pop_to(0);
        if (!pushed.ok()) return std::move(pushed).error();
        return std::optional<Directory>();
      }
      ++depth;
    }
    pop_to(depth);
    walked_ = clean;
  }
  return std::optional(Directory{top(), top_path()});
}

}  // namespace cooper::image
