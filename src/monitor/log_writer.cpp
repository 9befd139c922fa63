#include "monitor/log_writer.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/strings.h"
#include "sys/file.h"

namespace cooper::monitor {
namespace {

constexpr std::size_t kBatch = std::size_t{128} << 10;  // written at once at the latest

void put_digits(char* out, int count, long value) {
  for (int i = count - 1; i >= 0; --i) {
    out[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
}

std::string_view stream_word(protocol::Stream stream) {
  return stream == protocol::Stream::kStderr ? " stderr " : " stdout ";
}

}  // namespace

std::string_view TimeStamp::format(const struct timespec& now) {
  if (now.tv_sec != second_) {
    second_ = now.tv_sec;
    struct tm when = {};
    (void)(zone_ == TimeZone::kUtc ? ::gmtime_r(&second_, &when) : ::localtime_r(&second_, &when));
    std::memcpy(text_.data(), "0000-00-00T00:00:00.000000000Z", 30);
    put_digits(text_.data(), 4, when.tm_year + 1900L);
    put_digits(text_.data() + 5, 2, when.tm_mon + 1L);
    put_digits(text_.data() + 8, 2, when.tm_mday);
    put_digits(text_.data() + 11, 2, when.tm_hour);
    put_digits(text_.data() + 14, 2, when.tm_min);
    put_digits(text_.data() + 17, 2, when.tm_sec);
    if (zone_ == TimeZone::kLocal) {
      const long minutes = std::labs(when.tm_gmtoff) / 60;
      text_[29] = when.tm_gmtoff < 0 ? '-' : '+';
      put_digits(text_.data() + 30, 2, minutes / 60);
      text_[32] = ':';
      put_digits(text_.data() + 33, 2, minutes % 60);
    }
  }
  put_digits(text_.data() + 20, 9, now.tv_nsec);
  return {text_.data(), zone_ == TimeZone::kUtc ? std::size_t{30} : text_.size()};
}

void TimeStamp::use(TimeZone zone) {
  zone_ = zone;
  second_ = -1;
  if (zone == TimeZone::kLocal) ::tzset();
}

Result<LogWriter> LogWriter::open(BorrowedFd dir, const std::string& path, std::uint64_t max_bytes, int max_files) {
  LogWriter out;
  out.dir_ = dir;
  out.path_ = path;
  out.max_bytes_ = max_bytes;
  out.max_files_ = std::max(max_files, 1);
  if (const auto slash = path.rfind('/'); slash != std::string::npos) {
    Status made = sys::mkdirat(dir, path.substr(0, slash), 0755);
    if (!made.ok() && made.error().errno_value() != EEXIST)
      return std::move(made).error().with("log file " + quoted(path));
  }
  RETURN_IF_ERROR(out.reopen());
  return out;
}

Result<UniqueFd> LogWriter::open_file(int extra_flags) const {
  return sys::openat(dir_, path_, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | extra_flags, 0640);
}

Status LogWriter::reopen() {
  if (path_.empty()) return {};
  ASSIGN_OR_RETURN(UniqueFd fd, open_file(0));
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(fd));
  // Anything but a regular file could block or misbehave in ways that a log must not.
  if (!S_ISREG(info.st_mode))
    return Error(Errc::kInvalidArgument, "log file " + quoted(path_) + " is not a regular file");
  fd_ = std::move(fd);
  size_ = static_cast<std::uint64_t>(info.st_size);
  return {};
}

void LogWriter::append(protocol::Stream stream, std::string_view data, const struct timespec& now) {
  if (path_.empty()) return;
  now_s_ = now.tv_sec;
  const std::string_view stamp = stamp_.format(now);
  std::string& partial = partial_[stream == protocol::Stream::kStderr ? 1 : 0];
  while (!data.empty()) {
    const void* newline = std::memchr(data.data(), '\n', data.size());
    if (newline == nullptr) {
      if (partial.size() + data.size() > kMaxText) {
        // Keep between 1 and kMaxText bytes back: the line may end with the next byte, and an F record must close it.
        const std::size_t total = partial.size() + data.size();
        const std::size_t keep = (total - 1) % kMaxText + 1;
        const std::size_t now_out = total - keep;
        const std::size_t from_data = now_out - partial.size();
        emit_line(stamp, stream, partial, data.substr(0, from_data), 'P');
        data.remove_prefix(from_data);
      }
      partial.append(data);
      break;
    }
    const auto length = static_cast<std::size_t>(static_cast<const char*>(newline) - data.data());
    emit_line(stamp, stream, partial, data.substr(0, length), 'F');
    data.remove_prefix(length + 1);
  }
  flush();
}

// The text head + tail, cut into pieces: all but the last are P records. head is emptied.
void LogWriter::emit_line(std::string_view stamp, protocol::Stream stream, std::string& head, std::string_view tail,
                          char last_tag) {
  while (head.size() + tail.size() > kMaxText) {
    const std::size_t n = kMaxText - head.size();
    emit(stamp, stream, 'P', head, tail.substr(0, n));
    head.clear();
    tail.remove_prefix(n);
  }
  emit(stamp, stream, last_tag, head, tail);
  head.clear();
}

void LogWriter::emit(std::string_view stamp, protocol::Stream stream, char tag, std::string_view head,
                     std::string_view tail) {
  const std::string_view word = stream_word(stream);
  const std::size_t length = stamp.size() + word.size() + 2 + head.size() + tail.size() + 1;
  const std::uint64_t after = size_ + out_.size() + length;
  if (max_bytes_ != 0 && after > max_bytes_ && size_ + out_.size() > 0) {
    flush();
    if (size_ > 0) rotate();
  } else if (out_.size() + length > kBatch) {
    flush();
  }
  if (out_.capacity() == 0) out_.reserve(kBatch);
  const char middle[2] = {tag, ' '};
  out_.append(stamp).append(word).append(middle, 2).append(head).append(tail).push_back('\n');
}

void LogWriter::flush_partials(const struct timespec& now) {
  if (path_.empty()) return;
  now_s_ = now.tv_sec;
  for (const auto stream : {protocol::Stream::kStdout, protocol::Stream::kStderr}) {
    std::string& partial = partial_[stream == protocol::Stream::kStderr ? 1 : 0];
    if (!partial.empty()) emit_line(stamp_.format(now), stream, partial, {}, 'P');
  }
  flush();
}

void LogWriter::lose(std::size_t bytes) {
  lost_bytes_ += bytes;
  untold_loss_ += bytes;
}

bool LogWriter::ready() {
  if (fd_) return true;
  if (now_s_ < retry_at_) return false;
  retry_at_ = now_s_ + 1;
  return reopen().ok();
}

void LogWriter::flush() {
  if (out_.empty()) return;
  if (!ready()) {
    lose(out_.size());
  } else if (untold_loss_ != 0) {
    const auto end = std::string_view(out_).find(' ');
    const std::string note =
        out_.substr(0, end) + " stderr F cooper: " + std::to_string(untold_loss_) + " bytes of log were lost here\n";
    write_out(note + out_);
  } else {
    write_out(out_);
  }
  out_.clear();
}

void LogWriter::write_out(std::string_view data) {
  std::size_t done = 0;
  while (done < data.size()) {
    auto n = sys::write(fd_, data.substr(done));
    if (n.ok() && *n > 0) {
      done += *n;
      continue;
    }
    // Cut the torn record off, wherever the file ends now (somebody may have truncated it).
    if (done != 0) {
      if (auto info = sys::fstat(fd_); info.ok() && info->st_size >= static_cast<off_t>(done)) {
        (void)!sys::ftruncate(fd_, info->st_size - static_cast<off_t>(done)).ok();
      }
    }
    lose(out_.size());
    return;
  }
  size_ += done;
  untold_loss_ = 0;
}

void LogWriter::rotate() {
  if (max_files_ == 1) {
    if (fd_ && sys::ftruncate(fd_, 0).ok()) size_ = 0;
    return;
  }
  for (int i = max_files_ - 1; i >= 1; --i) {
    const std::string from = i == 1 ? path_ : path_ + "." + std::to_string(i - 1);
    Status moved = sys::renameat(dir_, from, dir_, path_ + "." + std::to_string(i));
    // Without room for the old files the current one goes on; the next attempt comes after another max_bytes.
    if (!moved.ok() && moved.error().errno_value() != ENOENT) {
      size_ = 0;
      return;
    }
  }
  fd_.reset();
  retry_at_ = 0;
  (void)ready();
}

Status LogWriter::sync() {
  if (!fd_) return {};
  return sys::fdatasync(fd_);
}

void LogWriter::release_memory() {
  out_ = std::string();
  for (std::string& partial : partial_) {
    if (partial.empty()) partial = std::string();
  }
}

}  // namespace cooper::monitor
