#include "cli/cooper/container_fields.h"

#include <array>

#include "cli/cooper/output.h"
#include "cli/cooper/time_text.h"

namespace cooper::cli {
namespace {

using codec::json::Document;

constexpr std::array<TemplateField, 15> kFields = {{{"ID", "CONTAINER ID"},
                                                    {"Names"},
                                                    {"Image"},
                                                    {"ImageID", "IMAGE ID"},
                                                    {"Command"},
                                                    {"Created"},
                                                    {"CreatedAt", "CREATED AT"},
                                                    {"RunningFor", "CREATED"},
                                                    {"Status"},
                                                    {"State"},
                                                    {"ExitCode", "EXIT CODE"},
                                                    {"Pid"},
                                                    {"Pod"},
                                                    {"Networks"},
                                                    {"Labels"}}};

Result<Document> record_of(const Row& row, bool full, std::int64_t now_ms) {
  const pod::PodInfo& pod = *row.pod;
  const pod::AppInfo& app = *row.app;
  const std::string command = print_command(app.args);
  const std::string age = print_age(now_ms - pod.created_unix_ms) + " ago";
  codec::json::Writer out;
  out.begin_object().field("ID", full ? pod.uuid.str() : pod.uuid.short_str()).field("Names", row.name());
  const std::string_view digits = std::string_view(app.image_id).substr(app.image_id.find(':') + 1);
  out.field("Image", app.image).field("ImageID", full ? std::string_view(app.image_id) : digits.substr(0, 12));
  out.field("Command", full ? command : shorten(command, 30));
  out.field("Created", age).field("CreatedAt", print_rfc3339_ms(pod.created_unix_ms)).field("RunningFor", age);
  out.field("Status", status_text(row, now_ms)).field("State", app.state);
  out.field("ExitCode", app.exit && !app.exit->unknown ? app.exit->exit_code : 0).field("Pid", app.pid);
  out.field("Pod", pod.single ? std::string() : pod.name.empty() ? pod.uuid.str() : pod.name);
  out.field("Networks", pod.network);
  out.key("Labels").begin_object();
  for (const auto& [key, value] : pod.labels) out.field(key, value);
  out.end_object();
  return Document::parse(out.end_object().take(), "container");
}

}  // namespace

std::span<const TemplateField> container_fields() {
  return kFields;
}

Result<std::vector<Document>> container_records(const std::vector<Row>& rows, bool full) {
  const std::int64_t now_ms = now_unix_ns() / 1'000'000;
  std::vector<Document> out;
  for (const Row& row : rows) {
    ASSIGN_OR_RETURN(Document record, record_of(row, full, now_ms));
    out.push_back(std::move(record));
  }
  return out;
}

std::string status_text(const Row& row, std::int64_t now_ms) {
  const pod::AppInfo& app = *row.app;
  if (app.state == "running" || app.state == "paused") {
    return "Up " + print_age(now_ms - row.pod->started_unix_ms) + (app.state == "paused" ? " (paused)" : "");
  }
  if (app.exit) {
    if (!app.exit->unknown && !app.exit->error.empty() && app.exit->started_unix_ms == 0 && app.exit->signal == 0)
      return "Not started";
    if (app.exit->unknown) return "Exited (unknown)";
    return "Exited (" + std::to_string(app.exit->exit_code) + ") " + print_age(now_ms - app.exit->finished_unix_ms) +
           " ago";
  }
  return app.state == "created" ? "Created" : std::string(pod::to_string(row.pod->state));
}

}  // namespace cooper::cli
