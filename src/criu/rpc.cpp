#include "criu/rpc.h"

#include "codec/protobuf.h"

namespace cooper::criu {
namespace {

using codec::protobuf::Field;
using codec::protobuf::Reader;
using codec::protobuf::Writer;

void flag(Writer& out, std::uint32_t field, bool set) {
  if (set) out.number(field, 1);
}

void text(Writer& out, std::uint32_t field, const std::string& value) {
  if (!value.empty()) out.bytes(field, value);
}

std::string pair(const std::string& first, const std::string& second) {
  Writer out;
  text(out, 1, first);
  return out.bytes(2, second).take();
}

// In the order of their numbers.
std::string print_options(const Options& options) {
  Writer out;
  out.number(1, options.images_dir_fd);
  if (options.pid > 0) out.number(2, options.pid);
  flag(out, 3, options.leave_running);
  flag(out, 4, options.external_unix_sockets);
  flag(out, 5, options.tcp_established);
  flag(out, 6, options.evasive_devices);
  flag(out, 7, options.shell_job);
  flag(out, 8, options.file_locks);
  out.number(9, options.log_level);
  text(out, 10, options.log_file);
  if (options.page_server)
    out.bytes(11, Writer().bytes(1, options.page_server->address).number(2, options.page_server->port).text());
  flag(out, 12, options.notify);
  text(out, 13, options.root);
  text(out, 14, options.parent_images);
  flag(out, 15, options.track_memory);
  flag(out, 16, options.auto_dedup);
  if (options.work_dir_fd >= 0) out.number(17, options.work_dir_fd);
  flag(out, 18, options.link_remap);
  for (const auto& mount : options.external_mounts) out.bytes(23, pair(mount.key, mount.value));
  for (const auto& root : options.cgroup_roots) out.bytes(25, pair(root.controller, root.path));
  flag(out, 26, options.restore_sibling);
  for (const auto& fd : options.inherited) out.bytes(27, Writer().bytes(1, fd.key).number(2, fd.fd).text());
  if (options.cgroup_mode) out.number(34, static_cast<int>(*options.cgroup_mode));
  for (const auto& external : options.external) out.bytes(37, external);
  if (options.empty_namespaces != 0) out.number(38, options.empty_namespaces);
  for (const auto& joined : options.joined) out.bytes(39, pair(joined.type, joined.file));
  text(out, 44, options.freeze_cgroup);
  flag(out, 46, options.tcp_skip_in_flight);
  flag(out, 48, options.lazy_pages);
  if (options.status_fd >= 0) out.number(49, options.status_fd);
  flag(out, 50, options.orphan_pts_master);
  text(out, 51, options.config_file);
  text(out, 53, options.lsm_profile);
  text(out, 63, options.lsm_mount_context);
  return out.take();
}

// Calls each(field) -> Status for all fields of a message.
template <typename F>
Status for_each_field(std::string_view message, F each) {
  Reader reader(message);
  while (true) {
    ASSIGN_OR_RETURN(const auto field, reader.next());
    if (!field) return {};
    RETURN_IF_ERROR(each(*field));
  }
}

// For fields that are messages: parse(Field, T&) for each of their fields. A message that comes twice is one, as the
// format has it.
template <typename T, typename F>
Status read_message(const Field& field, std::optional<T>& out, F parse) {
  ASSIGN_OR_RETURN(const std::string_view inner, field.text());
  if (!out) out.emplace();
  return for_each_field(inner, [&](const Field& part) { return parse(part, *out); });
}

Status read_int(const Field& field, int& out) {
  ASSIGN_OR_RETURN(out, field.int32());
  return {};
}

Status read_bool(const Field& field, bool& out) {
  ASSIGN_OR_RETURN(out, field.boolean());
  return {};
}

Status read_text(const Field& field, std::string& out) {
  ASSIGN_OR_RETURN(out, field.text());
  return {};
}

Status read_notification(const Field& field, Notification& out) {
  if (field.number == 1) return read_text(field, out.script);
  return field.number == 2 ? read_int(field, out.pid) : Status();
}

Status read_features(const Field& field, Features& out) {
  if (field.number == 1) return read_bool(field, out.memory_tracking);
  return field.number == 2 ? read_bool(field, out.lazy_pages) : Status();
}

Status read_version(const Field& field, Version& out) {
  if (field.number == 1) return read_int(field, out.major);
  if (field.number == 2) return read_int(field, out.minor);
  return field.number == 4 ? read_int(field, out.sub) : Status();
}

Status read_answer(const Field& field, Answer& out, bool& typed) {
  switch (field.number) {
    case 1: {
      ASSIGN_OR_RETURN(const int type, field.int32());
      out.type = static_cast<RequestType>(type);
      typed = true;
      return {};
    }
    case 2:
      return read_bool(field, out.success);
    case 4:
      return read_message(field, out.restored_pid, [](const Field& part, pid_t& pid) {
        return part.number == 1 ? read_int(part, pid) : Status();
      });
    case 5:
      return read_message(field, out.notification, read_notification);
    case 7:
      return read_int(field, out.error);
    case 8:
      return read_message(field, out.features, read_features);
    case 9:
      return read_text(field, out.message);
    case 10:
      return read_message(field, out.version, read_version);
    default:
      return {};
  }
}

}  // namespace

std::string print_request(const Request& request) {
  Writer out;
  out.number(1, static_cast<int>(request.type));
  if (request.options) out.bytes(2, print_options(*request.options));
  if (request.notified) out.number(3, *request.notified ? 1 : 0);
  flag(out, 4, request.keep_open);
  if (request.features) {
    Writer features;
    flag(features, 1, request.features->memory_tracking);
    flag(features, 2, request.features->lazy_pages);
    out.bytes(5, features.text());
  }
  return out.take();
}

std::string to_string(const Version& version) {
  return std::to_string(version.major) + "." + std::to_string(version.minor) +
         (version.sub != 0 ? "." + std::to_string(version.sub) : "");
}

Result<Answer> parse_answer(std::string_view text) {
  Answer out;
  bool typed = false;
  RETURN_IF_ERROR(for_each_field(text, [&](const Field& field) { return read_answer(field, out, typed); }));
  if (!typed) return Error(Errc::kCorrupt, "damaged message: it has no type");
  return out;
}

}  // namespace cooper::criu
