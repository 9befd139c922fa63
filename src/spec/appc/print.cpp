#include "spec/appc/print.h"

#include "codec/json.h"

namespace cooper::spec::appc {
namespace {

using codec::json::Document;
using codec::json::Writer;

// f(element) for each of a list that is left out when it is empty.
template <typename T, typename F>
void write_list(Writer& writer, std::string_view name, const std::vector<T>& list, F f) {
  if (list.empty()) return;
  writer.key(name).begin_array();
  for (const T& element : list) f(element);
  writer.end_array();
}

void write_name_values(Writer& writer, std::string_view name, const std::vector<NameValue>& list) {
  write_list(writer, name, list, [&](const NameValue& pair) {
    writer.begin_object().field("name", pair.name).field("value", pair.value).end_object();
  });
}

void write_texts(Writer& writer, std::string_view name, const std::map<std::string, std::string>& texts) {
  if (texts.empty()) return;
  writer.key(name).begin_object();
  for (const auto& [key, value] : texts) writer.field(key, value);
  writer.end_object();
}

void write_isolator(Writer& writer, const Isolator& isolator) {
  writer.begin_object().field("name", isolator.name).key("value");
  const auto value = Document::parse(isolator.value_json, isolator.name);
  value.ok() ? writer.value(value->root()) : writer.null();
  writer.end_object();
}

void write_slots(Writer& writer, const App& app) {
  write_list(writer, "mountPoints", app.mount_points, [&](const MountPoint& point) {
    writer.begin_object().field("name", point.name).field("path", point.path);
    if (point.read_only) writer.field("readOnly", true);
    writer.end_object();
  });
  write_list(writer, "ports", app.ports, [&](const Port& port) {
    writer.begin_object().field("name", port.name).field("protocol", port.protocol).field("port", port.port);
    writer.field("count", port.count).field("socketActivated", port.socket_activated).end_object();
  });
}

void write_app(Writer& writer, const App& app) {
  writer.key("app").begin_object();
  if (!app.exec.empty()) writer.field("exec", app.exec);
  writer.field("user", app.user).field("group", app.group);
  write_list(writer, "supplementaryGIDs", app.supplementary_gids, [&](std::uint32_t gid) { writer.number(gid); });
  write_list(writer, "eventHandlers", app.event_handlers, [&](const EventHandler& handler) {
    writer.begin_object().field("name", handler.name).field("exec", handler.exec).end_object();
  });
  if (!app.working_directory.empty()) writer.field("workingDirectory", app.working_directory);
  write_name_values(writer, "environment", app.environment);
  write_slots(writer, app);
  write_list(writer, "isolators", app.isolators, [&](const Isolator& isolator) { write_isolator(writer, isolator); });
  write_texts(writer, "userAnnotations", app.user_annotations);
  write_texts(writer, "userLabels", app.user_labels);
  writer.end_object();
}

}  // namespace

std::string print(const ImageManifest& manifest) {
  Writer writer;
  writer.begin_object().field("acKind", "ImageManifest").field("acVersion", manifest.ac_version);
  writer.field("name", manifest.name);
  write_name_values(writer, "labels", manifest.labels);
  if (manifest.app) write_app(writer, *manifest.app);
  write_list(writer, "dependencies", manifest.dependencies, [&](const Dependency& dependency) {
    writer.begin_object().field("imageName", dependency.image_name);
    if (!dependency.image_id.empty()) writer.field("imageID", "sha512-" + dependency.image_id);
    write_name_values(writer, "labels", dependency.labels);
    writer.optional_field("size", dependency.size_bytes).end_object();
  });
  if (!manifest.path_whitelist.empty()) writer.field("pathWhitelist", manifest.path_whitelist);
  write_name_values(writer, "annotations", manifest.annotations);
  writer.end_object();
  return writer.take();
}

}  // namespace cooper::spec::appc
