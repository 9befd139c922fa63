#include "container/record_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strings.h"
#include "spec/oci_runtime/parse.h"
#include "sys/file.h"

namespace cooper::container {
namespace {

constexpr std::string_view kFormat = "coop container ";
constexpr std::string_view kFirstLine = "coop container 1\n";
constexpr const char* kLookAtIt = "look at what it is, and remove it";
constexpr std::size_t kMaxOtherBytes = std::size_t{8} << 20;
constexpr std::size_t kMaxBytes = oci::kMaxConfigBytes + kMaxOtherBytes;

std::string_view word_of(RecordPart part) {
  switch (part) {
    case RecordPart::kState:
      return "state";
    case RecordPart::kConfig:
      return "config";
    case RecordPart::kExit:
      return "exit";
  }
  return "";
}

// The creator was killed before it had written its first line.
bool is_beginning(std::string_view text) {
  return kFirstLine.starts_with(text);
}

Error damaged(std::string_view what) {
  return Error(Errc::kInvalidArgument, std::string(what) + " is damaged");
}

// One write, so that two who see the end at once do not write into each other. Its size.
Result<std::size_t> append_part(BorrowedFd fd, RecordPart part, std::string_view text) {
  ASSIGN_OR_RETURN(const struct stat before, sys::fstat(fd));
  std::string bytes = std::string(word_of(part)) + " " + std::to_string(text.size()) + "\n";
  bytes.append(text) += '\n';
  Status written = sys::write_all(fd, bytes);
  if (written.ok()) return bytes.size();
  // Half of it would hide what the next one writes.
  (void)!sys::ftruncate(fd, before.st_size).ok();
  return std::move(written).error();
}

// Of a file that may be anything.
Status check_ours(BorrowedFd fd, const std::string& path) {
  std::string text(kFirstLine.size(), '\0');
  ASSIGN_OR_RETURN(const std::size_t n, sys::pread(fd, std::span(text.data(), text.size()), 0));
  text.resize(n);
  if (is_beginning(text) || text.starts_with(kFormat)) return {};
  return Error(Errc::kInvalidArgument, quoted(path) + " is not a container's record").with_hint(kLookAtIt);
}

Result<UniqueFd> open_existing(const std::string& path, int flags) {
  const auto foreign = [&] {
    return Error(Errc::kInvalidArgument, quoted(path) + " is not a container's record").with_hint(kLookAtIt);
  };
  auto fd = sys::openat(sys::kCwd, path, flags | O_NOFOLLOW | O_NONBLOCK);
  if (!fd.ok()) {
    // A link, a directory, a socket.
    const int why = fd.error().errno_value();
    if (why == ELOOP || why == EISDIR || why == ENXIO) return foreign();
    return std::move(fd).error();
  }
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(*fd));
  if (!S_ISREG(info.st_mode)) return foreign();
  return std::move(*fd);
}

}  // namespace

Status parse_record_parts(std::string_view text, std::string_view what, RecordParts& out) {
  if (is_beginning(text)) return {};
  if (!text.starts_with(kFirstLine)) {
    if (!text.starts_with(kFormat))
      return Error(Errc::kInvalidArgument, std::string(what) + " is not a container's record").with_hint(kLookAtIt);
    const std::string_view version = text.substr(kFormat.size(), text.find('\n') - kFormat.size());
    return Error(Errc::kUnsupported, std::string(what) + ": state format " + quoted(version.substr(0, 16)) +
                                         " is not supported by this build");
  }
  text.remove_prefix(kFirstLine.size());
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    const auto head = split_once(text.substr(0, end), ' ');
    const auto size = head ? parse_number<std::uint64_t>(head->second) : std::nullopt;
    if (!size) return damaged(what);
    text.remove_prefix(end + 1);
    if (text.size() <= *size) return {};  // cut off
    const std::string_view part = text.substr(0, *size);
    if (text[*size] != '\n') return damaged(what);
    text.remove_prefix(*size + 1);
    if (head->first == word_of(RecordPart::kState)) {
      out.state = part;
      if (out.first_state.empty()) out.first_state = part;
    } else if (head->first == word_of(RecordPart::kConfig)) {
      out.config = part;
    } else if (head->first == word_of(RecordPart::kExit)) {
      if (!out.exit) out.exit = part;
    } else {
      return damaged(what);
    }
  }
  return {};
}

Status read_record(const std::string& path, RecordParts& out) {
  ASSIGN_OR_RETURN(const UniqueFd fd, open_existing(path, O_RDONLY));
  const auto text = io::read_all(fd, kMaxBytes);
  if (!text.ok())
    return Error(text.error().code(), text.error().message(), text.error().errno_value()).with("read " + quoted(path));
  return parse_record_parts(*text, path, out);
}

Result<RecordFile> RecordFile::create(const std::string& root, const std::string& path) {
  const auto make = [&] {
    return sys::openat(sys::kCwd, path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_APPEND, 0600);
  };
  auto fd = make();
  if (!fd.ok() && fd.error().errno_value() == ENOENT) {
    RETURN_IF_ERROR(io::make_directories(root, 0711));
    fd = make();
  }
  if (!fd.ok() && fd.error().errno_value() == EEXIST)
    return Error(Errc::kAlreadyExists, quoted(path) + " exists already", EEXIST);
  if (!fd.ok()) return std::move(fd).error();
  RETURN_IF_ERROR(sys::flock(*fd, LOCK_EX));
  // A delete may have been quicker to take the lock.
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(*fd));
  if (info.st_nlink == 0) return Error(Errc::kWrongState, quoted(path) + " was removed while it was being made");
  if (Status written = sys::write_all(*fd, kFirstLine); !written.ok()) {
    (void)::unlink(path.c_str());
    return std::move(written).error().with("write " + quoted(path));
  }
  return RecordFile(std::move(*fd), path, kFirstLine.size());
}

Result<RecordFile> RecordFile::lock(const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd fd, open_existing(path, O_RDWR | O_APPEND));
  if (Status locked = sys::flock(fd, LOCK_EX); !locked.ok()) return std::move(locked).error().with(quoted(path));
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(fd));
  if (info.st_nlink == 0) return Error(Errc::kNotFound, quoted(path) + " has been removed", ENOENT);
  return RecordFile(std::move(fd), path, 0);
}

Result<bool> RecordFile::is_locked(const std::string& path) {
  ASSIGN_OR_RETURN(const UniqueFd fd, open_existing(path, O_RDONLY));
  const Status locked = sys::flock(fd, LOCK_SH | LOCK_NB);
  if (locked.ok()) return false;
  if (locked.error().errno_value() == EWOULDBLOCK) return true;
  return Error(locked.error().code(), locked.error().message(), locked.error().errno_value());
}

Status RecordFile::append(RecordPart part, std::string_view text) {
  auto written = append_part(fd_, part, text);
  if (!written.ok()) return std::move(written).error().with("write " + quoted(path_));
  size_ += *written;
  return {};
}

Status RecordFile::remove() const {
  if (size_ == 0) RETURN_IF_ERROR(check_ours(fd_, path_));
  Status removed = sys::unlinkat(sys::kCwd, path_);
  if (!removed.ok() && removed.error().errno_value() == ENOENT) return {};
  return removed;
}

Status RecordFile::unlock() const {
  return sys::flock(fd_, LOCK_UN);
}

Result<RecordFile::Since> RecordFile::lock_again() const {
  if (Status locked = sys::flock(fd_, LOCK_EX); !locked.ok()) return std::move(locked).error().with(quoted(path_));
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(fd_));
  if (info.st_nlink == 0) return Since::kRemoved;
  return static_cast<std::uint64_t>(info.st_size) == size_ ? Since::kUnchanged : Since::kWritten;
}

Status append_exit(const std::string& path, std::string_view text) {
  ASSIGN_OR_RETURN(const UniqueFd fd, open_existing(path, O_WRONLY | O_APPEND));
  auto written = append_part(fd, RecordPart::kExit, text);
  return written.ok() ? Status() : Status(std::move(written).error());
}

Status remove_record(const std::string& path) {
  auto fd = open_existing(path, O_RDONLY);
  if (!fd.ok() && fd.error().errno_value() == ENOENT) return {};
  if (!fd.ok()) return std::move(fd).error();
  RETURN_IF_ERROR(check_ours(*fd, path));
  return sys::unlinkat(sys::kCwd, path);
}

}  // namespace cooper::container
