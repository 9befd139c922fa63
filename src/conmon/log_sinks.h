// All places that the output of one container is logged to.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "conmon/journal.h"
#include "conmon/options.h"
#include "monitor/log_writer.h"

namespace cooper::conmon {

class LogSinks {
 public:
  LogSinks() = default;
  static Result<LogSinks> open(const Options& options);

  void append(monitor::protocol::Stream stream, std::string_view data);
  // Ends lines of files that have no newline yet: readers see what there is.
  void flush_partials();
  // The files were renamed by somebody else.
  void reopen();
  // The end: what is open is on the disk, if that is asked for.
  void finish();
  void release_memory();

 private:
  std::vector<std::unique_ptr<monitor::LogWriter>> files_;
  std::optional<Journal> journal_;
  std::uint64_t bytes_left_ = UINT64_MAX;  // of --log-global-size-max
  bool sync_ = true;
};

// Whether `path` lies below one of the directories, links resolved. Exposed for tests.
Status check_log_place(const std::string& path, const std::vector<std::string>& directories);

}  // namespace cooper::conmon
