#include "cli/cooper/log_file.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "cli/cooper/time_text.h"
#include "sys/file.h"
#include "sys/inotify.h"

namespace cooper::cli {
namespace {

constexpr std::size_t kChunk = 64 * 1024;
// A record longer than this is no record of ours; its start is dropped.
constexpr std::size_t kMaxLine = 4 * 1024 * 1024;

bool in_time(const LogRecord& record, const LogSelection& selection) {
  return (!selection.since_ns || record.unix_ns >= *selection.since_ns) &&
         (!selection.until_ns || record.unix_ns <= *selection.until_ns);
}

// nullopt: gone meanwhile.
Result<std::optional<UniqueFd>> open_log(const std::string& path) {
  auto file = sys::openat(sys::kCwd, path, O_RDONLY | O_NOCTTY);
  if (file.ok()) return std::optional<UniqueFd>(std::move(file).value());
  if (file.error().code() == Errc::kNotFound) return std::optional<UniqueFd>();
  return std::move(file).error();
}

}  // namespace

// Cuts one growing file into records.
class LineReader {
 public:
  explicit LineReader(UniqueFd file, off_t offset = 0) : file_(std::move(file)), offset_(offset) {}

  // Everything that is there now; a line without its end stays for the next call.
  Status drain(const LogSelection& selection, const LogSink& sink) {
    std::array<char, kChunk> buffer;
    while (true) {
      ASSIGN_OR_RETURN(const std::size_t n, sys::pread(file_, buffer, offset_));
      if (n == 0) return {};
      offset_ += static_cast<off_t>(n);
      pending_.append(buffer.data(), n);
      RETURN_IF_ERROR(emit(selection, sink));
    }
  }

  Result<bool> is_same_file(const std::string& path) const {
    ASSIGN_OR_RETURN(const struct stat mine, sys::fstat(file_));
    auto there = sys::fstatat(sys::kCwd, path, 0);
    if (!there.ok()) {
      if (there.error().code() == Errc::kNotFound) return false;
      return std::move(there).error();
    }
    return mine.st_dev == there->st_dev && mine.st_ino == there->st_ino;
  }

 private:
  Status emit(const LogSelection& selection, const LogSink& sink) {
    std::size_t start = 0;
    while (true) {
      const std::size_t end = pending_.find('\n', start);
      if (end == std::string::npos) break;
      const auto record = parse_log_line(std::string_view(pending_).substr(start, end - start));
      start = end + 1;
      if (record && in_time(*record, selection)) RETURN_IF_ERROR(sink(*record));
    }
    pending_.erase(0, start);
    if (pending_.size() > kMaxLine) pending_.clear();
    return {};
  }

  UniqueFd file_;
  off_t offset_ = 0;
  std::string pending_;
};

namespace {

// Walks a file's lines from the last to the first.
class BackwardLines {
 public:
  BackwardLines(BorrowedFd file, off_t size) : file_(file), position_(size) {}

  struct Line {
    off_t offset = 0;  // of its first byte
    std::string text;  // without the line feed
  };
  // nullopt at the beginning of the file. The text behind the last line feed is no line.
  Result<std::optional<Line>> next() {
    while (true) {
      const std::size_t end = buffer_.empty() ? std::string::npos : buffer_.size() - 1;
      if (end != std::string::npos && buffer_[end] == '\n' && seen_end_) {
        const std::size_t before = end == 0 ? std::string::npos : buffer_.rfind('\n', end - 1);
        if (before != std::string::npos || position_ == 0) {
          const std::size_t start = before == std::string::npos ? 0 : before + 1;
          Line line{position_ + static_cast<off_t>(start), buffer_.substr(start, end - start)};
          buffer_.resize(start);
          return std::optional(std::move(line));
        }
      } else if (!seen_end_ && !buffer_.empty()) {
        const std::size_t last = buffer_.rfind('\n');
        if (last != std::string::npos) {
          buffer_.resize(last + 1);
          seen_end_ = true;
          continue;
        }
      }
      if (position_ == 0) return std::optional<Line>();
      RETURN_IF_ERROR(load_more());
    }
  }

 private:
  Status load_more() {
    const auto want = std::min<off_t>(position_, static_cast<off_t>(kChunk));
    std::string piece(static_cast<std::size_t>(want), '\0');
    std::size_t have = 0;
    while (have < piece.size()) {
      ASSIGN_OR_RETURN(const std::size_t n,
                       sys::pread(file_, std::span(piece).subspan(have), position_ - want + static_cast<off_t>(have)));
      if (n == 0) return Error(Errc::kCorrupt, "the log file shrank while it was read");
      have += n;
    }
    position_ -= want;
    buffer_.insert(0, piece);
    if (buffer_.size() > kMaxLine) return Error(Errc::kCorrupt, "the log file has a line of more than 4 MiB");
    return {};
  }

  BorrowedFd file_;
  off_t position_;      // file offset of buffer_[0]
  std::string buffer_;  // what is loaded and not yet handed out
  bool seen_end_ = false;
};

struct Start {
  std::size_t file = 0;
  off_t offset = 0;
};

// Where the last `tail` lines begin.
Result<Start> find_tail(const std::vector<std::string>& files, const LogSelection& selection) {
  std::uint64_t lines = 0;
  Start start{files.size(), 0};
  for (std::size_t i = files.size(); i-- > 0;) {
    ASSIGN_OR_RETURN(const auto file, open_log(files[i]));
    if (!file) continue;
    ASSIGN_OR_RETURN(const struct stat status, sys::fstat(*file));
    BackwardLines reader(*file, status.st_size);
    while (true) {
      ASSIGN_OR_RETURN(const auto line, reader.next());
      if (!line) break;
      const auto record = parse_log_line(line->text);
      if (!record || (selection.until_ns && record->unix_ns > *selection.until_ns)) continue;
      // A whole record ends a line; the one that ends line number tail+1 from the end is the first not wanted.
      if (!record->partial && ++lines > *selection.tail) return start;
      start = {i, line->offset};
    }
    if (start.file == i) start.offset = 0;
  }
  return start;
}

Result<Start> find_start(const std::vector<std::string>& files, const LogSelection& selection) {
  if (!selection.tail) return Start{};
  if (*selection.tail == 0) {
    if (files.empty()) return Start{};
    ASSIGN_OR_RETURN(const auto file, open_log(files.back()));
    if (!file) return Start{files.size(), 0};
    ASSIGN_OR_RETURN(const struct stat status, sys::fstat(*file));
    return Start{files.size() - 1, status.st_size};
  }
  return find_tail(files, selection);
}

}  // namespace

std::optional<LogRecord> parse_log_line(std::string_view line) {
  LogRecord record;
  const std::size_t time_end = line.find(' ');
  if (time_end == std::string_view::npos) return std::nullopt;
  record.timestamp = line.substr(0, time_end);
  const auto ns = parse_rfc3339_ns(record.timestamp);
  if (!ns) return std::nullopt;
  record.unix_ns = *ns;
  line.remove_prefix(time_end + 1);
  if (!line.starts_with("stdout ") && !line.starts_with("stderr ")) return std::nullopt;
  record.to_stderr = line.starts_with("stderr ");
  line.remove_prefix(7);
  // The tag may grow fields after a colon; an empty line has no blank after it.
  const std::string_view tag = line.substr(0, line.find(' '));
  const std::string_view kind = tag.substr(0, tag.find(':'));
  if (kind != "P" && kind != "F") return std::nullopt;
  record.partial = kind == "P";
  record.text = line.size() > tag.size() ? line.substr(tag.size() + 1) : std::string_view{};
  return record;
}

Status read_logs(const std::vector<std::string>& files, const LogSelection& selection, const LogSink& sink) {
  ASSIGN_OR_RETURN(const Start start, find_start(files, selection));
  for (std::size_t i = start.file; i < files.size(); ++i) {
    ASSIGN_OR_RETURN(auto file, open_log(files[i]));
    if (!file) continue;
    LineReader reader(std::move(*file), i == start.file ? start.offset : 0);
    RETURN_IF_ERROR(reader.drain(selection, sink));
  }
  return {};
}

LogFollower::LogFollower(FollowOptions options) : options_(std::move(options)) {}
LogFollower::LogFollower(LogFollower&&) noexcept = default;
LogFollower& LogFollower::operator=(LogFollower&&) noexcept = default;
LogFollower::~LogFollower() = default;

Result<LogFollower> LogFollower::open(FollowOptions options) {
  LogFollower follower(std::move(options));
  ASSIGN_OR_RETURN(follower.inotify_, sys::inotify_init1());
  const std::string directory = follower.options_.current.substr(0, follower.options_.current.rfind('/'));
  auto watch = sys::inotify_add_watch(follower.inotify_, directory, IN_MODIFY | IN_CREATE | IN_MOVED_TO);
  if (!watch.ok()) return std::move(watch).error();
  return follower;
}

// The files that are there, from where the selection begins; the newest stays open.
Status LogFollower::open_first(const LogSink& sink) {
  started_ = true;
  ASSIGN_OR_RETURN(const std::vector<std::string> files, options_.files());
  ASSIGN_OR_RETURN(const Start start, find_start(files, options_.selection));
  for (std::size_t i = start.file; i < files.size(); ++i)
    RETURN_IF_ERROR(open_next(files[i], i == start.file ? start.offset : 0, sink));
  return {};
}

Status LogFollower::open_next(const std::string& path, std::int64_t offset, const LogSink& sink) {
  ASSIGN_OR_RETURN(auto file, open_log(path));
  if (!file) return {};
  reader_ = std::make_unique<LineReader>(std::move(*file), offset);
  return reader_->drain(options_.selection, sink);
}

Status LogFollower::catch_up(const LogSink& sink) {
  // First, so that what is written from now on makes the descriptor readable again.
  std::array<char, 4096> events;
  while (true) {
    const auto n = sys::read(inotify_, events);
    if (!n.ok() || *n == 0) break;
  }
  if (!started_) RETURN_IF_ERROR(open_first(sink));
  if (!reader_) return open_next(options_.current, 0, sink);
  RETURN_IF_ERROR(reader_->drain(options_.selection, sink));
  ASSIGN_OR_RETURN(const bool same, reader_->is_same_file(options_.current));
  if (same) return {};
  // Rotated. What was written between the read and the rename first, then every file that is newer than ours.
  RETURN_IF_ERROR(reader_->drain(options_.selection, sink));
  ASSIGN_OR_RETURN(const std::vector<std::string> files, options_.files());
  std::size_t next = 0;
  for (std::size_t i = 0; i < files.size(); ++i) {
    ASSIGN_OR_RETURN(const bool ours, reader_->is_same_file(files[i]));
    if (ours) next = i + 1;
  }
  for (; next < files.size(); ++next) RETURN_IF_ERROR(open_next(files[next], 0, sink));
  return {};
}

bool LogFollower::past_until() const {
  return options_.selection.until_ns && now_unix_ns() > *options_.selection.until_ns;
}

Status follow_logs(FollowOptions options, const FollowUntil& until, const LogSink& sink) {
  constexpr int kLookMs = 200;  // the end of the container is no event of the directory
  ASSIGN_OR_RETURN(LogFollower follower, LogFollower::open(std::move(options)));
  while (true) {
    // Asked before reading: what was written before the end is then certainly read.
    ASSIGN_OR_RETURN(const bool ended, until.ended());
    RETURN_IF_ERROR(follower.catch_up(sink));
    RETURN_IF_ERROR(until.idle());
    if (ended || follower.past_until()) return {};
    std::array<struct pollfd, 2> fds = {{{follower.fd().get(), POLLIN, 0}, {STDOUT_FILENO, 0, 0}}};
    (void)::poll(fds.data(), fds.size(), kLookMs);
    if ((fds[1].revents & POLLERR) != 0) return Error::from_errno(EPIPE, "write to standard output");
  }
}

}  // namespace cooper::cli
