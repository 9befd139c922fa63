// Whether a copy of a tree is whole: for programs that make one and do not say when a write has failed.
#include <algorithm>
#include <cstring>

#include "base/strings.h"
#include "image/internal/compare.h"
#include "image/internal/disk_file.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

using codec::tar::EntryType;

constexpr std::size_t kReadBytes = std::size_t{256} << 10;

class CopyWalk {
 public:
  explicit CopyWalk(const CheckStep& step) : step_(step), left_(kReadBytes), right_(kReadBytes) {}
  // Errors of the source are ours, and an end; those of the copy are what is looked for.
  Result<std::optional<std::string>> run(BorrowedFd source, BorrowedFd copy) {
    RETURN_IF_ERROR(directory(source, copy, ""));
    return std::move(difference_);
  }

 private:
  Status directory(BorrowedFd source, BorrowedFd copy, const std::string& path);
  Status entry(BorrowedFd source, BorrowedFd copy, const std::string& name, const std::string& path);
  Status content(BorrowedFd source, BorrowedFd copy, const std::string& name, const std::string& path);
  Status differs(const std::string& path, const Error* why = nullptr) {
    difference_ = quoted(path.empty() ? "/" : path) + (why != nullptr ? " (" + why->message() + ")" : "");
    return {};
  }

  const CheckStep& step_;
  std::vector<char> left_, right_;
  std::optional<std::string> difference_;
};

Status CopyWalk::content(BorrowedFd source, BorrowedFd copy, const std::string& name, const std::string& path) {
  constexpr int kFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  ASSIGN_OR_RETURN(const UniqueFd from, sys::openat(source, name, kFlags));
  const auto to = sys::openat(copy, name, kFlags);
  if (!to.ok()) return differs(path, &to.error());
  for (off_t at = 0;;) {
    ASSIGN_OR_RETURN(const std::size_t n, sys::pread(from, left_, at));
    if (n == 0) return {};
    for (std::size_t done = 0; done < n;) {
      const auto m = sys::pread(*to, std::span(right_).subspan(done, n - done), at + static_cast<off_t>(done));
      if (!m.ok()) return differs(path, &m.error());
      if (*m == 0) return differs(path);
      done += *m;
    }
    if (std::memcmp(left_.data(), right_.data(), n) != 0) return differs(path);
    at += static_cast<off_t>(n);
    RETURN_IF_ERROR(step_(n));
  }
}

Status CopyWalk::entry(BorrowedFd source, BorrowedFd copy, const std::string& name, const std::string& path) {
  ASSIGN_OR_RETURN(auto left, look_at(source, name));
  auto right = look_at(copy, name);
  if (!right.ok()) return differs(path, &right.error());
  if (!left || !*right || left->is_socket != (*right)->is_socket) return differs(path);
  auto changes = changes_between(left->facts, (*right)->facts);
  // File systems do not keep all of them alike.
  std::erase_if(changes, [](const AspectChange& one) {
    return one.aspect == Aspect::kModified || one.aspect == Aspect::kAttribute;
  });
  if (!changes.empty() || left->facts.links != (*right)->facts.links) return differs(path);
  if (left->is_socket) return {};
  if (left->facts.type == EntryType::kFile) return content(source, copy, name, path);
  if (left->facts.type != EntryType::kDirectory) return step_(0);
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
  ASSIGN_OR_RETURN(const UniqueFd from, sys::openat(source, name, kFlags));
  const auto to = sys::openat(copy, name, kFlags);
  return to.ok() ? directory(from, *to, path) : differs(path, &to.error());
}

Status CopyWalk::directory(BorrowedFd source, BorrowedFd copy, const std::string& path) {
  ASSIGN_OR_RETURN(auto names, sys::list_directory(source));
  auto copied = sys::list_directory(copy);
  if (!copied.ok()) return differs(path, &copied.error());
  std::ranges::sort(names);
  std::ranges::sort(*copied);
  if (names != *copied) return differs(path);
  for (const std::string& name : names) {
    RETURN_IF_ERROR(entry(source, copy, name, path + "/" + name));
    if (difference_) return {};
  }
  return {};
}

}  // namespace

Result<std::optional<std::string>> first_difference(BorrowedFd source, BorrowedFd copy, const CheckStep& step) {
  return CopyWalk(step).run(source, copy);
}

}  // namespace cooper::image
