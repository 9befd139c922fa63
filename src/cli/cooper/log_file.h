// Reading the logs of apps: lines of the CRI format, over rotated files, to the end or following.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::cli {

// "<RFC3339Nano> stdout|stderr P|F <text>\n". P: the line goes on in the next record of the same stream.
struct LogRecord {
  std::string_view timestamp;
  std::int64_t unix_ns = 0;
  bool to_stderr = false;
  bool partial = false;
  std::string_view text;
};
// nullopt for a line that is none (a torn write after a crash).
std::optional<LogRecord> parse_log_line(std::string_view line);

struct LogSelection {
  std::optional<std::int64_t> since_ns, until_ns;  // both inclusive
  std::optional<std::uint64_t> tail;               // last lines (whole ones, however many records they have)
};

// Receives each selected record in order. text is followed by a line feed when !partial.
using LogSink = std::function<Status(const LogRecord&)>;

// The file that grows, among a log's files: "x.log" of "x.log.2", "x.log.1", "x.log". Empty for no files.
std::string current_log(const std::vector<std::string>& files);

// `paths` are those of one log, oldest first, as they were a moment ago: rotation may go on meanwhile. What is handed
// over has no holes, and ends with what was the newest line. `step` is for tests: called before each look at a name.
Status read_logs(const std::vector<std::string>& paths, const LogSelection& selection, const LogSink& sink,
                 const std::function<void()>& step = {});

struct FollowOptions {
  LogSelection selection;
  // Present log files, oldest first; asked at the start, and when the place in the log was lost.
  std::function<Result<std::vector<std::string>>()> files;
  // The file that grows, even before it exists.
  std::string current;
  // Called once, when a file was removed before its successor could be opened: lines may be missing.
  std::function<void()> on_skip = {};
  // For tests: called before each look at a name.
  std::function<void()> step = {};
};

struct LogFile;
class LineReader;

// Reads a log that grows, across rotations. One step at a time, so that a caller can follow several. Each line comes
// once and in order; a follower that is too slow goes on with the oldest file that is left.
class LogFollower {
 public:
  static Result<LogFollower> open(FollowOptions options);
  LogFollower(LogFollower&&) noexcept;
  LogFollower& operator=(LogFollower&&) noexcept;
  ~LogFollower();

  // Readable when a file changed (and perhaps again without a reason).
  BorrowedFd fd() const { return inotify_; }
  // Everything that is there and was not handed over yet.
  Status catch_up(const LogSink& sink);
  // Nothing that is still to come is selected.
  bool past_until() const;

 private:
  explicit LogFollower(FollowOptions options);
  Status open_first(const LogSink& sink);
  Status read_on(std::vector<LogFile> files, std::size_t first, std::int64_t offset, const LogSink& sink);
  Result<bool> open_newer(const LogSink& sink);

  FollowOptions options_;
  UniqueFd inotify_;
  bool started_ = false;
  bool skipped_ = false;
  std::unique_ptr<LineReader> reader_;
};

// What on_skip says to people.
void warn_of_skip(const std::string& app);

struct FollowUntil {
  // True once nothing more will be written.
  std::function<Result<bool>()> ended;
  // Before each wait: everything there is has been handed over.
  std::function<Status()> idle;
};
// Reads what is there, then what comes, until ended() is true and everything was read. EPIPE when nobody reads standard
// output.
Status follow_logs(FollowOptions options, const FollowUntil& until, const LogSink& sink);

}  // namespace cooper::cli
