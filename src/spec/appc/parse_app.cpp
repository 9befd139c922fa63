// The "app" section of an image manifest.
#include <set>

#include "base/strings.h"
#include "spec/appc/internal/parse_parts.h"
#include "spec/appc/isolators.h"
#include "spec/appc/names.h"

namespace cooper::spec::appc {
namespace {

using codec::json::Cursor;
using codec::json::Writer;

constexpr unsigned kMaxPort = 65535;

std::string compact(const Cursor& cursor) {
  Writer writer;
  writer.value(cursor.value());
  return writer.take();
}

Status read_command(const Cursor& parent, std::string_view name, std::vector<std::string>& out) {
  RETURN_IF_ERROR(parent.read(name, out));
  const auto member = parent.get(name);
  if (member && !out.empty() && out.front().empty()) return member->at(0).error("the program's name is empty");
  return {};
}

Status read_groups(const Cursor& app, std::vector<std::uint32_t>& out) {
  std::set<std::uint32_t> seen;
  return for_each_of(app, "supplementaryGIDs", [&](const Cursor& element) -> Status {
    ASSIGN_OR_RETURN(const auto gid, element.integer<std::uint32_t>());
    if (!seen.insert(gid).second) return element.error("group " + std::to_string(gid) + " is there twice");
    out.push_back(gid);
    return {};
  });
}

Status read_handlers(const Cursor& app, std::vector<EventHandler>& out) {
  std::set<std::string, std::less<>> seen;
  return for_each_of(app, "eventHandlers", [&](const Cursor& element) -> Status {
    RETURN_IF_ERROR(element.expect_object());
    EventHandler handler;
    ASSIGN_OR_RETURN(handler.name, required_text(element, "name"));
    if (handler.name != "pre-start" && handler.name != "post-stop")
      return element.error("event " + quoted(handler.name) + " is neither pre-start nor post-stop");
    if (!seen.insert(handler.name).second) return element.error("event " + quoted(handler.name) + " is there twice");
    RETURN_IF_ERROR(read_command(element, "exec", handler.exec));
    if (handler.exec.empty()) return element.error("has no exec");
    out.push_back(std::move(handler));
    return {};
  });
}

Status read_mount_points(const Cursor& app, std::vector<MountPoint>& out) {
  std::set<std::string, std::less<>> seen;
  return for_each_of(app, "mountPoints", [&](const Cursor& element) -> Status {
    RETURN_IF_ERROR(element.expect_object());
    MountPoint point;
    ASSIGN_OR_RETURN(point.name, required_name(element, "name", is_ac_name, kNameRule));
    if (!seen.insert(point.name).second) return element.error("mount point " + quoted(point.name) + " is there twice");
    ASSIGN_OR_RETURN(point.path, required_text(element, "path"));
    RETURN_IF_ERROR(check_absolute(element, point.path));
    RETURN_IF_ERROR(element.read("readOnly", point.read_only));
    out.push_back(std::move(point));
    return {};
  });
}

Status read_ports(const Cursor& app, std::vector<Port>& out) {
  std::set<std::string, std::less<>> seen;
  return for_each_of(app, "ports", [&](const Cursor& element) -> Status {
    RETURN_IF_ERROR(element.expect_object());
    Port port;
    ASSIGN_OR_RETURN(port.name, required_name(element, "name", is_ac_name, kNameRule));
    if (!seen.insert(port.name).second) return element.error("port " + quoted(port.name) + " is there twice");
    ASSIGN_OR_RETURN(port.protocol, required_text(element, "protocol"));
    if (port.protocol != "tcp" && port.protocol != "udp")
      return element.error("protocol " + quoted(port.protocol) + " is neither tcp nor udp");
    ASSIGN_OR_RETURN(const Cursor number, element.require("port"));
    ASSIGN_OR_RETURN(port.port, number.integer<std::uint16_t>());
    RETURN_IF_ERROR(element.read("count", port.count));
    if (port.port == 0 || port.count == 0 || unsigned{port.port} + port.count - 1 > kMaxPort)
      return element.error("ports must be between 1 and 65535");
    RETURN_IF_ERROR(element.read("socketActivated", port.socket_activated));
    out.push_back(std::move(port));
    return {};
  });
}

Status read_isolators(const Cursor& app, std::vector<Isolator>& out) {
  Isolation all;
  return for_each_of(app, "isolators", [&](const Cursor& element) -> Status {
    RETURN_IF_ERROR(element.expect_object());
    ASSIGN_OR_RETURN(std::string name, required_name(element, "name", is_ac_identifier, kIdentifierRule));
    ASSIGN_OR_RETURN(const Cursor value, element.require("value"));
    RETURN_IF_ERROR(read_isolator(name, value, all));
    out.push_back({std::move(name), compact(value)});
    return {};
  });
}

Status read_texts(const Cursor& app, std::string_view name, std::map<std::string, std::string>& out) {
  const auto object = app.get(name);
  if (!object) return {};
  return object->for_each_member([&](std::string_view key, const Cursor& value) -> Status {
    ASSIGN_OR_RETURN(out[std::string(key)], value.string());
    return {};
  });
}

Status read_place(const Cursor& cursor, App& app) {
  RETURN_IF_ERROR(cursor.read("workingDirectory", app.working_directory));
  if (app.working_directory.empty()) return {};
  ASSIGN_OR_RETURN(const Cursor member, cursor.require("workingDirectory"));
  return check_absolute(member, app.working_directory);
}

Status read_environment(const Cursor& cursor, App& app) {
  RETURN_IF_ERROR(read_name_values(cursor, "environment", nullptr, app.environment));
  for (std::size_t i = 0; i < app.environment.size(); ++i) {
    if (app.environment[i].name.find('=') == std::string::npos) continue;
    const auto array = cursor.get("environment");
    return array->at(i).error("name " + quoted(app.environment[i].name) + " holds \"=\"");
  }
  return {};
}

}  // namespace

Result<App> read_app(const Cursor& cursor) {
  RETURN_IF_ERROR(cursor.expect_object());
  App app;
  RETURN_IF_ERROR(read_command(cursor, "exec", app.exec));
  ASSIGN_OR_RETURN(app.user, required_text(cursor, "user"));
  ASSIGN_OR_RETURN(app.group, required_text(cursor, "group"));
  for (const std::string* owner : {&app.user, &app.group}) {
    if (owner->starts_with('/')) RETURN_IF_ERROR(check_absolute(cursor, *owner));
    if (owner->find(':') != std::string::npos) return cursor.error(quoted(*owner) + " is no user and no group");
  }
  RETURN_IF_ERROR(read_groups(cursor, app.supplementary_gids));
  RETURN_IF_ERROR(read_handlers(cursor, app.event_handlers));
  RETURN_IF_ERROR(read_place(cursor, app));
  RETURN_IF_ERROR(read_environment(cursor, app));
  RETURN_IF_ERROR(read_mount_points(cursor, app.mount_points));
  RETURN_IF_ERROR(read_ports(cursor, app.ports));
  RETURN_IF_ERROR(read_isolators(cursor, app.isolators));
  RETURN_IF_ERROR(read_texts(cursor, "userAnnotations", app.user_annotations));
  RETURN_IF_ERROR(read_texts(cursor, "userLabels", app.user_labels));
  return app;
}

}  // namespace cooper::spec::appc
