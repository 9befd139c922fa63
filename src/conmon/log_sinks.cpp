#include "conmon/log_sinks.h"

#include <limits.h>
#include <stdlib.h>
#include <time.h>

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "sys/file.h"

namespace cooper::conmon {
namespace {

using monitor::protocol::Stream;

struct timespec wall_clock() {
  struct timespec now = {};
  (void)::clock_gettime(CLOCK_REALTIME, &now);
  return now;
}

Result<std::string> resolve(const std::string& path) {
  std::array<char, PATH_MAX> out{};
  if (::realpath(path.c_str(), out.data()) == nullptr) return Error::from_errno(errno, "resolve " + quoted(path));
  return std::string(out.data());
}

}  // namespace

Status check_log_place(const std::string& path, const std::vector<std::string>& directories) {
  if (directories.empty()) return {};
  const auto slash = path.rfind('/');
  ASSIGN_OR_RETURN(const std::string place, resolve(slash == std::string::npos ? "." : path.substr(0, slash + 1)));
  for (const std::string& directory : directories) {
    const auto allowed = resolve(directory);
    if (!allowed.ok()) continue;
    if (place == *allowed || *allowed == "/" || place.starts_with(*allowed + "/")) return {};
  }
  return Error(Errc::kPermission,
               "log file " + quoted(path) + " lies in none of the directories of --log-allowlist-dir");
}

Result<LogSinks> LogSinks::open(const Options& options) {
  LogSinks out;
  out.sync_ = !options.no_sync_log;
  if (options.log_global_size_max > 0) out.bytes_left_ = static_cast<std::uint64_t>(options.log_global_size_max);
  const auto limit = static_cast<std::uint64_t>(std::max<std::int64_t>(options.log_size_max, 0));
  const int files = options.log_rotate ? static_cast<int>(std::clamp<std::int64_t>(options.log_max_files, 1, 1000)) : 1;
  for (const LogTarget& target : options.logs) {
    if (target.kind == LogTarget::Kind::kJournal && !out.journal_) {
      ASSIGN_OR_RETURN(out.journal_, Journal::open({options.cid, options.name, options.log_tag, options.log_labels,
                                                    !options.no_partial_message}));
    }
    if (target.kind != LogTarget::Kind::kFile) continue;
    RETURN_IF_ERROR(check_log_place(target.path, options.log_allowlist_dirs));
    auto opened = monitor::LogWriter::open(sys::kCwd, target.path, limit, files);
    if (!opened.ok()) return std::move(opened).error().with("Failed to open log file");
    opened->use(monitor::TimeZone::kLocal);
    out.files_.push_back(std::make_unique<monitor::LogWriter>(std::move(opened).value()));
  }
  return out;
}

void LogSinks::append(Stream stream, std::string_view data) {
  data = data.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(bytes_left_, data.size())));
  if (bytes_left_ != UINT64_MAX) bytes_left_ -= data.size();
  if (data.empty()) return;
  if (journal_) journal_->append(stream, data);
  if (files_.empty()) return;
  const struct timespec now = wall_clock();
  for (const auto& file : files_) file->append(stream, data, now);
}

// The journal shows an entry a line: pieces of one wait there for its end.
void LogSinks::flush_partials() {
  for (const auto& file : files_) {
    if (file->has_partial()) file->flush_partials(wall_clock());
  }
}

void LogSinks::reopen() {
  // A file that cannot be opened now is tried again with the next line.
  for (const auto& file : files_) (void)!file->reopen().ok();
}

void LogSinks::finish() {
  flush_partials();
  if (journal_) journal_->flush_partials();
  if (!sync_) return;
  for (const auto& file : files_) (void)!file->sync().ok();
}

void LogSinks::release_memory() {
  for (const auto& file : files_) file->release_memory();
}

}  // namespace cooper::conmon
