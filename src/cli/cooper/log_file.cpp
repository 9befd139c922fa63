#include "cli/cooper/log_file.h"

#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/strings.h"
#include "cli/cooper/relay.h"
#include "cli/cooper/time_text.h"
#include "log/log.h"
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

// The number at the end of a rotated file's name; 0 for the current one.
std::size_t age_of(const std::string& path, const std::string& current) {
  if (!path.starts_with(current + ".")) return 0;
  return parse_number<std::size_t>(std::string_view(path).substr(current.size() + 1)).value_or(0);
}

}  // namespace

struct LogFile {
  UniqueFd fd;
  dev_t device = 0;
  ino_t inode = 0;

  bool same(const LogFile& other) const { return device == other.device && inode == other.inode; }
};

namespace {

// nullopt: gone meanwhile.
Result<std::optional<LogFile>> open_log_file(const std::string& path) {
  ASSIGN_OR_RETURN(auto fd, open_log(path));
  if (!fd) return std::optional<LogFile>();
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(*fd));
  return std::optional<LogFile>({*std::move(fd), info.st_dev, info.st_ino});
}

// All files of one log as they were at one moment, although their names change while they are opened.
class LogLook {
 public:
  LogLook(const std::string& current, std::size_t oldest, const std::function<void()>& step)
      : current_(current), oldest_(oldest), step_(step) {}

  // Oldest first. When the writer never pauses long enough only the newest file is sure.
  Result<std::vector<LogFile>> take() {
    constexpr int kTries = 64;
    constexpr int kTriesAtOnce = 4;
    constexpr struct timespec kPause = {0, 200'000};
    for (int i = 0; i < kTries; ++i) {
      if (i >= kTriesAtOnce) (void)::nanosleep(&kPause, nullptr);
      RETURN_IF_ERROR(open_all());
      ASSIGN_OR_RETURN(const bool stable, unchanged());
      if (stable) return gather();
    }
    found_.clear();
    ASSIGN_OR_RETURN(auto newest, open_log_file(current_));
    if (newest) found_.push_back(std::move(newest));
    return gather();
  }

 private:
  std::string name(std::size_t age) const { return age == 0 ? current_ : current_ + "." + std::to_string(age); }

  void step() const {
    if (step_) step_();
  }

  // Files only ever become older: whoever looks in that direction may meet one twice, but passes none by.
  Status open_all() {
    constexpr std::size_t kMissingAtEnd = 2;  // a rotation under way leaves one name free
    found_.clear();
    for (std::size_t age = 0, missing = 0; age <= oldest_ || missing < kMissingAtEnd; ++age) {
      step();
      ASSIGN_OR_RETURN(auto file, open_log_file(name(age)));
      missing = file ? 0 : missing + 1;
      found_.push_back(std::move(file));
    }
    return {};
  }

  // A name never goes back to a file it had before, and the number of an open file is not given out again. So when each
  // name still is what it was, all of them were that at the same time.
  Result<bool> unchanged() const {
    for (std::size_t age = 0; age < found_.size(); ++age) {
      step();
      const auto& file = found_[age];
      const auto now = sys::fstatat(sys::kCwd, name(age), 0);
      if (!now.ok() && now.error().code() != Errc::kNotFound) return Error(now.error().code(), now.error().message());
      if (now.ok() != file.has_value()) return false;
      if (file && (now->st_dev != file->device || now->st_ino != file->inode)) return false;
    }
    return true;
  }

  std::vector<LogFile> gather() {
    std::vector<LogFile> files;
    for (std::size_t age = found_.size(); age-- > 0;) {
      if (found_[age]) files.push_back(*std::move(found_[age]));
    }
    found_.clear();
    return files;
  }

  const std::string& current_;
  std::size_t oldest_;
  const std::function<void()>& step_;
  std::vector<std::optional<LogFile>> found_;  // by age
};

Result<std::vector<LogFile>> look_at(const std::vector<std::string>& paths, const std::function<void()>& step) {
  if (paths.empty()) return std::vector<LogFile>();
  const std::string current = current_log(paths);
  // A strange name must not cost a million looks.
  constexpr std::size_t kMaxAge = 1000;
  return LogLook(current, std::min(age_of(paths.front(), current), kMaxAge), step).take();
}

}  // namespace

// Cuts one growing file into records.
class LineReader {
 public:
  explicit LineReader(LogFile file, off_t offset = 0) : file_(std::move(file)), offset_(offset) {}

  const LogFile& file() const { return file_; }

  // Everything that is there now; a line without its end stays for the next call.
  Status drain(const LogSelection& selection, const LogSink& sink) {
    std::array<char, kChunk> buffer;
    while (true) {
      ASSIGN_OR_RETURN(const std::size_t n, sys::pread(file_.fd, buffer, offset_));
      if (n == 0) return follow_cut();
      offset_ += static_cast<off_t>(n);
      pending_.append(buffer.data(), n);
      RETURN_IF_ERROR(emit(selection, sink));
    }
  }

  // False as well when nothing has that name.
  Result<bool> is_at(const std::string& path) const {
    auto there = sys::fstatat(sys::kCwd, path, 0);
    if (there.ok()) return file_.device == there->st_dev && file_.inode == there->st_ino;
    if (there.error().code() == Errc::kNotFound) return false;
    return std::move(there).error();
  }

 private:
  // The writer cuts a torn record off its file; somebody may have emptied it.
  Status follow_cut() {
    ASSIGN_OR_RETURN(const struct stat info, sys::fstat(file_.fd));
    if (info.st_size >= offset_) return {};
    const off_t line_start = offset_ - static_cast<off_t>(pending_.size());
    if (info.st_size >= line_start) {
      pending_.resize(static_cast<std::size_t>(info.st_size - line_start));
      offset_ = info.st_size;
    } else {
      pending_.clear();
      offset_ = 0;
    }
    return {};
  }

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

  LogFile file_;
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
Result<Start> find_tail(const std::vector<LogFile>& files, const LogSelection& selection) {
  std::uint64_t lines = 0;
  bool first = true;
  Start start{files.size(), 0};
  for (std::size_t i = files.size(); i-- > 0;) {
    ASSIGN_OR_RETURN(const struct stat status, sys::fstat(files[i].fd));
    BackwardLines reader(files[i].fd, status.st_size);
    while (true) {
      ASSIGN_OR_RETURN(const auto line, reader.next());
      if (!line) break;
      const auto record = parse_log_line(line->text);
      if (!record || (selection.until_ns && record->unix_ns > *selection.until_ns)) continue;
      // A whole record ends a line, and so does the last one whatever it is; the one that ends line number tail+1 from
      // the end is the first not wanted.
      if ((!record->partial || first) && ++lines > *selection.tail) return start;
      first = false;
      start = {i, line->offset};
    }
    if (start.file == i) start.offset = 0;
  }
  return start;
}

Result<Start> find_start(const std::vector<LogFile>& files, const LogSelection& selection) {
  if (!selection.tail) return Start{};
  if (*selection.tail == 0) {
    if (files.empty()) return Start{};
    ASSIGN_OR_RETURN(const struct stat status, sys::fstat(files.back().fd));
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

std::string current_log(const std::vector<std::string>& files) {
  if (files.empty()) return {};
  // A look during a rotation may miss the current one.
  std::string path = files.back();
  const std::size_t dot = path.rfind('.');
  if (dot != std::string::npos && parse_number<std::size_t>(std::string_view(path).substr(dot + 1))) path.resize(dot);
  return path;
}

Status read_logs(const std::vector<std::string>& paths, const LogSelection& selection, const LogSink& sink,
                 const std::function<void()>& step) {
  ASSIGN_OR_RETURN(std::vector<LogFile> seen, look_at(paths, step));
  ASSIGN_OR_RETURN(const Start start, find_start(seen, selection));
  for (std::size_t i = start.file; i < seen.size(); ++i) {
    LineReader reader(std::move(seen[i]), i == start.file ? start.offset : 0);
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
  const bool again = std::exchange(started_, true);
  ASSIGN_OR_RETURN(const std::vector<std::string> paths, options_.files());
  ASSIGN_OR_RETURN(std::vector<LogFile> seen, look_at(paths, options_.step));
  if (seen.empty()) return {};
  // All of a log that was not there at first is new.
  if (again) return read_on(std::move(seen), 0, 0, sink);
  ASSIGN_OR_RETURN(Start start, find_start(seen, options_.selection));
  if (start.file == seen.size()) start = {seen.size() - 1, 0};
  return read_on(std::move(seen), start.file, start.offset, sink);
}

Status LogFollower::read_on(std::vector<LogFile> files, std::size_t first, std::int64_t offset, const LogSink& sink) {
  for (std::size_t i = first; i < files.size(); ++i) {
    reader_ = std::make_unique<LineReader>(std::move(files[i]), i == first ? offset : 0);
    RETURN_IF_ERROR(reader_->drain(options_.selection, sink));
  }
  return {};
}

// The files that are newer than ours, which has got its last line. False when there is none.
Result<bool> LogFollower::open_newer(const LogSink& sink) {
  const auto after_ours = [&](const std::vector<LogFile>& files) {
    const auto ours = std::ranges::find_if(files, [&](const LogFile& f) { return f.same(reader_->file()); });
    return ours == files.end() ? 0 : static_cast<std::size_t>(ours - files.begin()) + 1;
  };
  ASSIGN_OR_RETURN(std::vector<LogFile> seen, LogLook(options_.current, 0, options_.step).take());
  std::size_t next = after_ours(seen);
  if (next == 0) {
    // Somebody may have removed files in the middle.
    const auto paths = options_.files();
    if (!paths.ok() && paths.error().code() == Errc::kNotFound) return false;  // the log is gone with all it had
    if (!paths.ok()) return Error(paths.error().code(), paths.error().message());
    ASSIGN_OR_RETURN(seen, look_at(*paths, options_.step));
    next = after_ours(seen);
  }
  if (next == seen.size()) return false;
  if (next == 0 && !std::exchange(skipped_, true) && options_.on_skip) options_.on_skip();
  RETURN_IF_ERROR(read_on(std::move(seen), next, 0, sink));
  return true;
}

Status LogFollower::catch_up(const LogSink& sink) {
  // First, so that what is written from now on makes the descriptor readable again.
  std::array<char, 4096> events;
  while (true) {
    const auto n = sys::read(inotify_, events);
    if (!n.ok() || *n == 0) break;
  }
  if (!started_ || !reader_) RETURN_IF_ERROR(open_first(sink));
  // Bounded: a log that is rotated all the time must not keep the caller from everything else. It goes on at once then,
  // because those rotations were events.
  constexpr int kRotations = 16;
  for (int i = 0; reader_ && i < kRotations; ++i) {
    if (options_.step) options_.step();
    RETURN_IF_ERROR(reader_->drain(options_.selection, sink));
    if (options_.step) options_.step();
    ASSIGN_OR_RETURN(const bool same, reader_->is_at(options_.current));
    if (same) return {};
    // Rotated. What was written between the read and the rename first.
    RETURN_IF_ERROR(reader_->drain(options_.selection, sink));
    ASSIGN_OR_RETURN(const bool more, open_newer(sink));
    if (!more) return {};
  }
  return {};
}

bool LogFollower::past_until() const {
  return options_.selection.until_ns && now_unix_ns() > *options_.selection.until_ns;
}

void warn_of_skip(const std::string& app) {
  log::warning("lines of app " + quoted(app) + " may be missing: its log was rotated faster than it was read");
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
    // As a write would end us; there may be nothing to write for long.
    if ((fds[1].revents & POLLERR) != 0) die_by_signal(SIGPIPE);
  }
}

}  // namespace cooper::cli
