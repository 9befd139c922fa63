// The three descriptors that an engine hands down, by number in the environment.
//
// _OCI_STARTPIPE   engine -> monitor: a byte when the monitor is in its control group; with --exec-attach another one
//                  when the engine's client is attached
// _OCI_SYNCPIPE    monitor -> engine: one JSON line for the start (process number, or negative with the runtime's
// words),
//                  one for the end of an exec session (its exit status)
// _OCI_ATTACHPIPE  monitor -> engine: {"data": 0} when the attach socket of an exec session is there
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::conmon {

class EnginePipes {
 public:
  struct Names {  // values of the three variables; empty: none
    std::string start, sync, attach;
  };
  // Takes the descriptors over and makes them close-on-exec.
  static Result<EnginePipes> open(const Names& names);

  // Blocks. The end of the pipe is as good as a byte: the engine may have gone, the container is started all the same.
  Status wait_for_start();
  void close_start() { start_.reset(); }
  // `key` is "data", or what old engines expect. Nobody who listens is no error.
  void report(std::string_view key, std::int64_t value, std::string_view message = {});
  void report_attach_ready();
  void close_sync() { sync_.reset(); }

 private:
  UniqueFd start_, sync_, attach_;
};

// {"data": 7} or {"data": -1, "message": "..."}, with a newline.
std::string report_line(std::string_view key, std::int64_t value, std::string_view message);

}  // namespace cooper::conmon
