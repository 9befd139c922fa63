// Log records of the programs: one record is one write(2). Text (logfmt as runc prints it) or JSON lines.
//
// Rooms below the program edge return errors and log nothing above debug, except warnings about ungrantable requests
// (unknown capability, missing controller) that must not fail a start.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::log {

enum class Level { kDebug, kInfo, kWarning, kError };
enum class Format { kText, kJson };

std::string_view to_string(Level level);  // debug info warning error
Result<Level> level_from_string(std::string_view text);
Result<Format> format_from_string(std::string_view text);

// The process-wide sink; set once in main before any other room is called. Default: stderr, text, warning and above.
struct Options {
  Level level = Level::kWarning;
  Format format = Format::kText;
  std::string file;              // empty: stderr only
  bool errors_to_stderr = true;  // with a file: errors go to both (runc)
};
Status configure(const Options& options);
bool enabled(Level level);

void write(Level level, std::string_view message);
inline void debug(std::string_view message) {
  if (enabled(Level::kDebug)) write(Level::kDebug, message);
}
inline void info(std::string_view message) {
  write(Level::kInfo, message);
}
inline void warning(std::string_view message) {
  write(Level::kWarning, message);
}
inline void error(std::string_view message) {
  write(Level::kError, message);
}
// Sentence plus hint. A JSON record also has the members "code", "errno" and "step" of the error, as far as it has
// them.
void error(const Error& error);
std::string sentence(const Error& error);

// Exposed for tests: one formatted record with its newline. Times are whole seconds, as callers know them.
// `extra` is appended to the members of a JSON record: ",\"name\":\"value\"...".
std::string format_record(Format format, Level level, std::string_view message, std::int64_t unix_seconds,
                          std::string_view extra = {});

}  // namespace cooper::log
