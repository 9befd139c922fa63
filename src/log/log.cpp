#include "log/log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <array>

#include "base/strings.h"
#include "log/steps.h"

namespace cooper::log {
namespace {

struct Sink {
  Options options;
  UniqueFd file;
  std::int64_t start_us = 0;  // monotonic; of debug logs only
};

std::int64_t monotonic_us() {
  struct timespec now = {};
  (void)::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
}

Sink& sink() {
  static Sink instance;
  return instance;
}

void append_json_string(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += '"';
  while (!text.empty()) {
    const char c = text.front();
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80) {
      const std::size_t length = utf8_length(text);
      out += length == 0 ? std::string_view("\xef\xbf\xbd") : text.substr(0, length);
      text.remove_prefix(std::max<std::size_t>(length, 1));
      continue;
    }
    text.remove_prefix(1);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

std::string rfc3339(std::int64_t unix_seconds) {
  const time_t seconds = unix_seconds;
  struct tm utc = {};
  (void)::gmtime_r(&seconds, &utc);
  std::array<char, 40> buffer{};
  const std::size_t n = ::strftime(buffer.data(), buffer.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return {buffer.data(), n};
}

// A record is one write; a failing log must never fail the program.
void emit(int fd, std::string_view record) {
  (void)!::write(fd, record.data(), record.size());
}

}  // namespace

std::string_view to_string(Level level) {
  switch (level) {
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarning:
      return "warning";
    case Level::kError:
      return "error";
  }
  return "error";
}

Result<Level> level_from_string(std::string_view text) {
  if (text == "debug" || text == "trace") return Level::kDebug;
  if (text == "info") return Level::kInfo;
  if (text == "warning" || text == "warn") return Level::kWarning;
  if (text == "error" || text == "fatal" || text == "panic") return Level::kError;
  return Error(Errc::kInvalidArgument, "unknown log level " + quoted(text) + " (use debug, info, warning or error)");
}

Result<Format> format_from_string(std::string_view text) {
  if (text == "text") return Format::kText;
  if (text == "json") return Format::kJson;
  return Error(Errc::kInvalidArgument, "unknown log format " + quoted(text) + " (use text or json)");
}

Status configure(const Options& options) {
  UniqueFd file;
  if (!options.file.empty()) {
    file.reset(::open(options.file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644));
    if (!file) return Error::from_errno(errno, "open log file " + quoted(options.file));
  }
  sink().options = options;
  sink().file = std::move(file);
  if (options.level == Level::kDebug) sink().start_us = monotonic_us();
  return {};
}

bool enabled(Level level) {
  return level >= sink().options.level;
}

std::string format_record(Format format, Level level, std::string_view message, std::int64_t unix_seconds,
                          std::string_view extra) {
  std::string out;
  if (format == Format::kJson) {
    out += "{\"level\":\"";
    out += to_string(level);
    out += "\",\"msg\":";
    append_json_string(out, message);
    out += ",\"time\":\"" + rfc3339(unix_seconds) + "\"";
    out += extra;
    out += "}\n";
  } else {
    out += "time=\"" + rfc3339(unix_seconds) + "\" level=";
    out += to_string(level);
    out += " msg=";
    append_json_string(out, message);
    out += extra;
    out += '\n';
  }
  return out;
}

std::string format_fields(Format format, const Fields& fields) {
  std::string out;
  for (const auto& [name, value] : fields) {
    if (format == Format::kJson) {
      out += ',';
      append_json_string(out, name);
      out += ':';
    } else {
      out += ' ';
      out += name;
      out += '=';
    }
    append_json_string(out, value);
  }
  return out;
}

namespace {

void write_record(Level level, std::string_view message, std::string_view extra) {
  if (!enabled(level)) return;
  const std::int64_t now = ::time(nullptr);
  const Sink& s = sink();
  const std::string record = format_record(s.options.format, level, message, now, extra);
  if (s.file) emit(s.file.get(), record);
  if (!s.file || (level == Level::kError && s.options.errors_to_stderr))
    emit(STDERR_FILENO, s.file ? format_record(Format::kText, level, message, now) : record);
}

}  // namespace

void write(Level level, std::string_view message) {
  write_record(level, message, {});
}

namespace {

std::string milliseconds_since(std::int64_t start_us) {
  const std::int64_t us = monotonic_us() - start_us;
  const std::string below = std::to_string(us % 1000);
  return std::to_string(us / 1000) + "." + std::string(3 - below.size(), '0') + below;
}

}  // namespace

void forget_file() {
  sink().file.reset();
}

Stopwatch::Stopwatch() : start_us_(enabled(Level::kDebug) ? monotonic_us() : 0) {}

std::string Stopwatch::ms() const {
  return milliseconds_since(start_us_);
}

void write_step(std::string_view message, const Fields& fields) {
  Fields all = fields;
  all.emplace_back("elapsed_ms", milliseconds_since(sink().start_us));
  write_record(Level::kDebug, message, format_fields(sink().options.format, all));
}

std::string sentence(const Error& error) {
  if (error.hint().empty()) return error.message();
  return error.message() + " (" + error.hint() + ")";
}

void error(const Error& error) {
  Fields fields;
  // People read these from the sentence.
  if (sink().options.format == Format::kJson) {
    fields.emplace_back("code", to_string(error.code()));
    if (error.errno_value() != 0) fields.emplace_back("errno", errno_name(error.errno_value()));
    if (!error.step().empty()) fields.emplace_back("step", error.step());
  }
  write_record(Level::kError, sentence(error), format_fields(sink().options.format, fields));
}

}  // namespace cooper::log
