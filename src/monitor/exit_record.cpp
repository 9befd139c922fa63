#include "monitor/internal/record_json.h"

namespace cooper::monitor {
namespace {

constexpr int kRecordVersion = 1;

}  // namespace

namespace internal {

void write_record(codec::json::Writer& writer, const ExitRecord& record) {
  writer.begin_object();
  writer.field("version", kRecordVersion);
  writer.field("app", record.app);
  writer.field("exit_code", record.exit_code);
  writer.field("signal", record.signal);
  writer.field("oom_killed", record.oom_killed);
  writer.field("core_dumped", record.core_dumped);
  writer.field("started_unix_ms", record.started_unix_ms);
  writer.field("finished_unix_ms", record.finished_unix_ms);
  if (record.unknown) writer.field("unknown", true);
  if (!record.error.empty()) writer.field("error", record.error);
  if (!record.post_stop_error.empty()) writer.field("post_stop_error", record.post_stop_error);
  writer.end_object();
}

Result<ExitRecord> read_record(const codec::json::Cursor& cursor) {
  RETURN_IF_ERROR(cursor.expect_object());
  int version = kRecordVersion;
  RETURN_IF_ERROR(cursor.read("version", version));
  if (version != kRecordVersion) {
    return cursor.error("exit record of version " + std::to_string(version) + " was written by a newer cooper",
                        Errc::kUnsupported);
  }
  ExitRecord out;
  ASSIGN_OR_RETURN(const auto app, cursor.require("app"));
  ASSIGN_OR_RETURN(out.app, app.string());
  ASSIGN_OR_RETURN(const auto code, cursor.require("exit_code"));
  ASSIGN_OR_RETURN(out.exit_code, code.integer<int>());
  if (out.exit_code < 0 || out.exit_code > 255) return code.error("exit code must be 0 to 255");
  RETURN_IF_ERROR(cursor.read("signal", out.signal));
  if (out.signal < 0 || out.signal > 64) return cursor.error("signal must be 0 to 64");
  RETURN_IF_ERROR(cursor.read("oom_killed", out.oom_killed));
  RETURN_IF_ERROR(cursor.read("core_dumped", out.core_dumped));
  RETURN_IF_ERROR(cursor.read("started_unix_ms", out.started_unix_ms));
  RETURN_IF_ERROR(cursor.read("finished_unix_ms", out.finished_unix_ms));
  RETURN_IF_ERROR(cursor.read("unknown", out.unknown));
  RETURN_IF_ERROR(cursor.read("error", out.error));
  RETURN_IF_ERROR(cursor.read("post_stop_error", out.post_stop_error));
  return out;
}

}  // namespace internal

std::string print_exit_record(const ExitRecord& record) {
  codec::json::Writer writer;
  internal::write_record(writer, record);
  return writer.take() + "\n";
}

Result<ExitRecord> parse_exit_record(std::string text, std::string_view what) {
  ASSIGN_OR_RETURN(const auto document, codec::json::Document::parse(std::move(text), what));
  return internal::read_record(codec::json::Cursor(document.root(), what));
}

}  // namespace cooper::monitor
