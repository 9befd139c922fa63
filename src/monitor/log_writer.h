// The log file of one app in the CRI format: "<RFC3339 with 9 digits> stdout|stderr P|F <text>\n".
//
// A line is one F record; the pieces of a line longer than 16 KiB, and what was there when the line was cut short (end
// of the app, flush_partials()), are P records: joining texts, and adding a newline after each F, gives back the app's
// bytes. Records of one append() share a time stamp and go out in as few writes as possible.
//
// A full disk or a broken file never reaches the app: the batch is dropped, the file is cut back to its last whole
// record, and when writing works again a record on stderr tells how many bytes were lost.
#pragma once

#include <time.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "monitor/protocol.h"

namespace cooper::monitor {

enum class TimeZone {
  kUtc,    // "2026-01-02T03:04:05.123456789Z"
  kLocal,  // "2026-01-02T04:04:05.123456789+01:00"
};

// The calendar part is computed once a second.
class TimeStamp {
 public:
  std::string_view format(const struct timespec& now);
  void use(TimeZone zone);

 private:
  time_t second_ = -1;
  TimeZone zone_ = TimeZone::kUtc;
  std::array<char, 35> text_{};
};

class LogWriter {
 public:
  static constexpr std::size_t kMaxText = std::size_t{16} << 10;

  // No file: appends are discarded.
  LogWriter() = default;
  // `path` below `dir`, made 0640 with its directory when missing. max_bytes 0: no rotation. Rotation renames <path>.1
  // to <path>.2 and so on, keeping max_files files with the current one; a file may exceed max_bytes by no more than
  // one record.
  static Result<LogWriter> open(BorrowedFd dir, const std::string& path, std::uint64_t max_bytes, int max_files);

  void append(protocol::Stream stream, std::string_view data, const struct timespec& now);
  // Bytes of an unfinished line wait in memory.
  bool has_partial() const { return !partial_[0].empty() || !partial_[1].empty(); }
  void flush_partials(const struct timespec& now);
  // After somebody renamed or removed the file: continues in a new one of the same name.
  Status reopen();
  std::uint64_t lost_bytes() const { return lost_bytes_; }
  // Of the stamps from here on; UTC otherwise.
  void use(TimeZone zone) { stamp_.use(zone); }
  // What was written is on the disk.
  Status sync();
  // Gives the buffers back; the next append() takes them again.
  void release_memory();

 private:
  Result<UniqueFd> open_file(int extra_flags) const;
  void emit(std::string_view stamp, protocol::Stream stream, char tag, std::string_view head, std::string_view tail);
  void emit_line(std::string_view stamp, protocol::Stream stream, std::string& head, std::string_view tail,
                 char last_tag);
  void flush();
  void write_out(std::string_view data);
  void rotate();
  void lose(std::size_t bytes);
  bool ready();

  BorrowedFd dir_{-1};
  std::string path_;
  std::uint64_t max_bytes_ = 0;
  int max_files_ = 1;
  UniqueFd fd_;
  std::uint64_t size_ = 0;  // of the file, as far as we know
  std::uint64_t lost_bytes_ = 0;
  std::uint64_t untold_loss_ = 0;  // of them, not yet noted in the file
  time_t retry_at_ = 0;            // CLOCK_REALTIME second of the next attempt to open a file that could not be opened
  time_t now_s_ = 0;
  std::string out_;
  std::array<std::string, 2> partial_;
  TimeStamp stamp_;
};

}  // namespace cooper::monitor
