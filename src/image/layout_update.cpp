#include "image/internal/layout_update.h"

#include <fcntl.h>
#include <sys/file.h>

#include <chrono>
#include <set>
#include <thread>

#include "base/strings.h"
#include "codec/digest.h"
#include "codec/json.h"
#include "image/internal/paths.h"
#include "io/file.h"
#include "io/new_file.h"
#include "spec/oci_image/media_types.h"
#include "spec/oci_image/parse.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

using codec::json::Document;
using codec::json::Type;
using codec::json::Value;

constexpr const char* kIndex = "index.json";
constexpr auto kLockPause = std::chrono::milliseconds(20);

std::string_view text_at(const Value& value, std::string_view name) {
  const auto found = value.type() == Type::kObject ? value.find(name) : std::nullopt;
  return found ? found->as_string() : std::string_view();
}

std::string_view name_of(const Value& descriptor) {
  const auto annotations = descriptor.type() == Type::kObject ? descriptor.find("annotations") : std::nullopt;
  return annotations ? text_at(*annotations, oci_image::kAnnotationRefName) : std::string_view();
}

Result<Value> manifests_of(const Document& document) {
  const Value root = document.root();
  const auto found = root.type() == Type::kObject ? root.find("manifests") : std::nullopt;
  // Go prints a list of nothing as null: that is how umoci begins a layout.
  if (found && (found->type() == Type::kArray || found->is_null())) return *found;
  return Error(Errc::kCorrupt, "index.json of the layout has no list of manifests");
}

// Never by way of a link, and no wait for a pipe: the layout may be somebody else's.
Result<std::string> read_document(BorrowedFd layout, const char* name) {
  ASSIGN_OR_RETURN(const UniqueFd file, sys::openat(layout, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  return io::read_all(file, oci_image::kMaxDocumentBytes);
}

bool is_file(BorrowedFd directory, const char* name) {
  const auto info = sys::fstatat(directory, name, AT_SYMLINK_NOFOLLOW);
  return info.ok() && S_ISREG(info->st_mode);
}

std::string last_part(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

}  // namespace

Result<UniqueFd> lock_directory(const std::string& path, const GoOn& go_on) {
  auto directory = sys::openat(sys::kCwd, path, O_RDONLY | O_DIRECTORY);
  if (!directory.ok()) {
    const int why = directory.error().errno_value();
    // What stands in the way is found by who makes a directory.
    if (why == ENOENT || why == ENOTDIR) return UniqueFd();
    return directory;
  }
  for (;;) {
    Status locked = sys::flock(*directory, LOCK_EX | LOCK_NB);
    if (locked.ok()) return directory;
    if (locked.error().errno_value() != EWOULDBLOCK) return std::move(locked).error();
    RETURN_IF_ERROR(go_on());
    std::this_thread::sleep_for(kLockPause);
  }
}

Result<bool> holds_layout(BorrowedFd directory) {
  ASSIGN_OR_RETURN(const auto names, sys::list_directory(directory));
  if (names.empty()) return false;
  for (const char* name : {kLayoutFile, kIndex}) {
    if (is_file(directory, name)) continue;
    return Error(Errc::kAlreadyExists, "the directory is not empty, and no OCI layout: it has no file " + quoted(name),
                 ENOTEMPTY)
        .with_hint("name another directory");
  }
  ASSIGN_OR_RETURN(std::string version, read_document(directory, kLayoutFile));
  RETURN_IF_ERROR(oci_image::check_layout_file(std::move(version), kLayoutFile));
  return true;
}

Result<std::string> merge_index(std::string there, std::string more) {
  ASSIGN_OR_RETURN(const Document old, Document::parse(std::move(there), kIndex));
  ASSIGN_OR_RETURN(const Document added, Document::parse(std::move(more), kIndex));
  ASSIGN_OR_RETURN(const Value old_entries, manifests_of(old));
  ASSIGN_OR_RETURN(const Value new_entries, manifests_of(added));
  std::set<std::string_view> names;
  std::set<std::string_view> nameless;
  for (std::size_t i = 0; i < new_entries.size(); ++i) {
    const Value entry = new_entries.element(i);
    name_of(entry).empty() ? nameless.insert(text_at(entry, "digest")) : names.insert(name_of(entry));
  }
  codec::json::Writer out;
  out.begin_object();
  const Value root = old.root();
  for (std::size_t i = 0; i < root.size(); ++i) {
    const auto [name, value] = root.member(i);
    if (name != "manifests") out.key(name).value(value);
  }
  out.key("manifests").begin_array();
  for (std::size_t i = 0; i < old_entries.size(); ++i) {
    const Value entry = old_entries.element(i);
    const std::string_view name = name_of(entry);
    const bool replaced = name.empty() ? nameless.contains(text_at(entry, "digest")) : names.contains(name);
    if (!replaced) out.value(entry);
  }
  for (std::size_t i = 0; i < new_entries.size(); ++i) out.value(new_entries.element(i));
  out.end_array().end_object();
  std::string merged = out.take();
  // Longer ones are read by nobody, also not by us.
  if (merged.size() > oci_image::kMaxDocumentBytes) return Error(Errc::kLimit, "index.json of the layout is full");
  return merged;
}

// No link on the way is followed: the layout may be somebody else's.
Result<UniqueFd> LayoutUpdate::folder(const std::string& path) const {
  ASSIGN_OR_RETURN(UniqueFd at, sys::openat(layout_, ".", O_RDONLY | O_DIRECTORY));
  const std::size_t last = path.rfind('/');
  if (last == std::string::npos) return at;
  for (const std::string_view part : split(std::string_view(path).substr(0, last), '/')) {
    auto next = sys::openat(at, std::string(part), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!next.ok()) return std::move(next).error().with(quoted(part) + " in the layout");
    at = std::move(*next);
  }
  return at;
}

LayoutUpdate::~LayoutUpdate() {
  for (; !added_.empty(); added_.pop_back()) {
    const auto at = folder(added_.back().path);
    if (at.ok()) (void)!sys::unlinkat(*at, last_part(added_.back().path), added_.back().flags).ok();
  }
}

Status LayoutUpdate::add_directory(const std::string& path) {
  ASSIGN_OR_RETURN(const UniqueFd at, folder(path));
  Status made = sys::mkdirat(at, last_part(path), 0755);
  if (made.ok()) added_.push_back({path, AT_REMOVEDIR});
  if (!made.ok() && made.error().errno_value() != EEXIST) return made;
  return {};
}

// The right size says little: what is wrong there now would be ours.
Result<bool> LayoutUpdate::has_blob(BorrowedFd folder, const std::string& path, std::uint64_t size_bytes) const {
  const auto file = sys::openat(folder, last_part(path), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!file.ok()) return false;
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(*file));
  if (!S_ISREG(info.st_mode) || static_cast<std::uint64_t>(info.st_size) != size_bytes) return false;
  const auto parts = split(path, '/');
  ASSIGN_OR_RETURN(const Digest wanted, Digest::parse(std::string(parts[parts.size() - 2]) + ":" + last_part(path)));
  codec::Hasher hasher(wanted);
  std::string buffer(std::size_t{1} << 17, '\0');
  for (;;) {
    RETURN_IF_ERROR(go_on_());
    ASSIGN_OR_RETURN(const std::size_t got, sys::read(*file, buffer));
    if (got == 0) return hasher.finish() == wanted;
    hasher.update(std::string_view(buffer).substr(0, got));
  }
}

Status LayoutUpdate::add_file(const std::string& path, std::uint64_t size_bytes, codec::ByteSource& source) {
  if (path == kLayoutFile) return {};
  if (path == kIndex) {
    return codec::copy_exactly(source, size_bytes, index_, kIndex);
  }
  ASSIGN_OR_RETURN(UniqueFd at, folder(path));
  ASSIGN_OR_RETURN(const bool there, has_blob(at, path, size_bytes));
  if (there) return {};
  const bool wrong = sys::fstatat(at, last_part(path), AT_SYMLINK_NOFOLLOW).ok();
  auto file = io::NewFile::create_in(std::move(at), last_part(path));
  if (!file.ok()) return std::move(file).error().with(quoted(path) + " in the layout");
  codec::FdSink sink(file->fd());
  RETURN_IF_ERROR(codec::copy_exactly(source, size_bytes, sink, quoted(path)));
  // In the place of a wrong one it stays.
  if (!wrong) added_.push_back({path, 0});
  RETURN_IF_ERROR(file->publish(go_on_));
  written_ += size_bytes;
  return {};
}

Status LayoutUpdate::publish() {
  ASSIGN_OR_RETURN(std::string there, read_document(layout_, kIndex));
  ASSIGN_OR_RETURN(const std::string merged, merge_index(std::move(there), index_.text()));
  ASSIGN_OR_RETURN(UniqueFd at, folder(kIndex));
  ASSIGN_OR_RETURN(io::NewFile file, io::NewFile::create_in(std::move(at), kIndex));
  codec::FdSink sink(file.fd());
  RETURN_IF_ERROR(sink.write(merged));
  Status published = file.publish(go_on_);
  // It may be in its place all the same, and name what was added.
  const auto now = read_document(layout_, kIndex);
  if (published.ok() || !now.ok() || *now == merged) added_.clear();
  return published;
}

}  // namespace cooper::image
