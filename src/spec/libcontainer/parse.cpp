#include "spec/libcontainer/parse.h"

#include <sys/mount.h>

#include "spec/libcontainer/internal/read.h"

namespace cooper::spec::libcontainer {
namespace internal {
namespace {

Status read_command(const Cursor& object, Command& out, Notes& notes) {
  return read_members(object, out, notes, Member{"path", &Command::path}, Member{"args", &Command::args},
                      Member{"env", &Command::env}, Member{"dir", &Command::dir});
}

Status read_mount(const Cursor& object, Mount& out, Notes& notes) {
  note_unknown(object,
               {"source", "destination", "device", "flags", "propagation_flags", "data", "relabel", "premount_cmds",
                "postmount_cmds"},
               notes);
  RETURN_IF_ERROR(object.read("source", out.source));
  RETURN_IF_ERROR(object.read("destination", out.destination));
  RETURN_IF_ERROR(object.read("device", out.device));
  RETURN_IF_ERROR(object.read("flags", out.flags));
  if (const auto flags = object.get("propagation_flags")) {
    notes.named = true;
    RETURN_IF_ERROR(flags->for_each([&](const Cursor& element) -> Status {
      ASSIGN_OR_RETURN(const auto number, element.integer<std::int64_t>());
      out.propagation_flags.push_back(number);
      return {};
    }));
  }
  RETURN_IF_ERROR(object.read("data", out.data));
  RETURN_IF_ERROR(object.read("relabel", out.relabel));
  RETURN_IF_ERROR(read_list(object, "premount_cmds", out.premount_cmds, notes, read_command));
  return read_list(object, "postmount_cmds", out.postmount_cmds, notes, read_command);
}

Status read_namespace(const Cursor& object, Namespace& out, Notes& notes) {
  return read_members(object, out, notes, Member{"type", &Namespace::type}, Member{"path", &Namespace::path});
}

Status read_network(const Cursor& object, Network& out, Notes& notes) {
  return read_members(object, out, notes, Member{"type", &Network::type}, Member{"name", &Network::name},
                      Member{"bridge", &Network::bridge}, Member{"mac_address", &Network::mac_address},
                      Member{"address", &Network::address}, Member{"gateway", &Network::gateway},
                      Member{"ipv6_address", &Network::ipv6_address}, Member{"ipv6_gateway", &Network::ipv6_gateway},
                      Member{"mtu", &Network::mtu}, Member{"txqueuelen", &Network::tx_queue_len},
                      Member{"host_interface_name", &Network::host_interface_name},
                      Member{"hairpin_mode", &Network::hairpin_mode});
}

Status read_route(const Cursor& object, Route& out, Notes& notes) {
  return read_members(object, out, notes, Member{"destination", &Route::destination}, Member{"source", &Route::source},
                      Member{"gateway", &Route::gateway}, Member{"interface_name", &Route::interface_name});
}

Status read_rlimit(const Cursor& object, Rlimit& out, Notes& notes) {
  return read_members(object, out, notes, Member{"type", &Rlimit::type}, Member{"hard", &Rlimit::hard},
                      Member{"soft", &Rlimit::soft});
}

Status read_id_map(const Cursor& object, IdMap& out, Notes& notes) {
  return read_members(object, out, notes, Member{"container_id", &IdMap::container_id},
                      Member{"host_id", &IdMap::host_id}, Member{"size", &IdMap::size});
}

Status read_texts(const Cursor& object, std::string_view name, std::map<std::string, std::string>& out) {
  const auto map = object.get(name);
  if (!map) return {};
  return map->for_each_member([&](std::string_view key, const Cursor& member) -> Status {
    if (key.find('\0') != std::string_view::npos) return member.error("member name must not contain a NUL character");
    ASSIGN_OR_RETURN(out[std::string(key)], member.string());
    return {};
  });
}

Status read_hooks(const Cursor& object, Hooks& out, Notes& notes) {
  notes.named = true;
  note_unknown(object, {"prestart", "poststart", "poststop"}, notes);
  RETURN_IF_ERROR(object.expect_object());
  RETURN_IF_ERROR(read_list(object, "prestart", out.prestart, notes, read_command));
  RETURN_IF_ERROR(read_list(object, "poststart", out.poststart, notes, read_command));
  return read_list(object, "poststop", out.poststop, notes, read_command);
}

// privatefs, system_properties: the numeric generation's words for rootPropagation and sysctl.
Status read_older_words(const Cursor& object, Config& out, Notes& notes) {
  bool private_fs = false;
  RETURN_IF_ERROR(object.read("privatefs", private_fs));
  notes.numeric = notes.numeric || object.get("privatefs").has_value() || object.get("system_properties").has_value();
  if (private_fs) out.root_propagation = MS_PRIVATE | MS_REC;
  return read_texts(object, "system_properties", out.sysctl);
}

Status read_newer_words(const Cursor& object, Config& out, Notes& notes) {
  for (const std::string_view name : {"rootPropagation", "sysctl", "oom_score_adj", "version", "no_new_privileges"}) {
    notes.named = notes.named || object.get(name).has_value();
  }
  RETURN_IF_ERROR(object.read("rootPropagation", out.root_propagation));
  RETURN_IF_ERROR(object.read("oom_score_adj", out.oom_score_adj));
  RETURN_IF_ERROR(object.read("version", out.version));
  RETURN_IF_ERROR(object.read("no_new_privileges", out.no_new_privileges));
  return read_texts(object, "sysctl", out.sysctl);
}

Status read_security(const Cursor& object, Config& out, Notes& notes) {
  RETURN_IF_ERROR(object.read("capabilities", out.capabilities));
  RETURN_IF_ERROR(object.read("apparmor_profile", out.apparmor_profile));
  RETURN_IF_ERROR(object.read("process_label", out.process_label));
  RETURN_IF_ERROR(object.read("mount_label", out.mount_label));
  RETURN_IF_ERROR(object.read("mask_paths", out.mask_paths));
  RETURN_IF_ERROR(object.read("readonly_paths", out.readonly_paths));
  if (const auto seccomp = object.get("seccomp")) {
    RETURN_IF_ERROR(seccomp->expect_object());
    RETURN_IF_ERROR(read_seccomp(*seccomp, out.seccomp.emplace(), notes));
  }
  return {};
}

void note_unknown_members(const Cursor& object, Notes& notes) {
  note_unknown(object,
               {"no_pivot_root",
                "parent_death_signal",
                "pivot_dir",
                "rootfs",
                "readonlyfs",
                "privatefs",
                "rootPropagation",
                "mounts",
                "devices",
                "mount_label",
                "hostname",
                "namespaces",
                "capabilities",
                "networks",
                "routes",
                "cgroups",
                "apparmor_profile",
                "process_label",
                "rlimits",
                "oom_score_adj",
                "additional_groups",
                "uid_mappings",
                "gid_mappings",
                "mask_paths",
                "readonly_paths",
                "system_properties",
                "sysctl",
                "seccomp",
                "Hooks",
                "hooks",
                "version",
                "no_new_privileges"},
               notes);
}

Status read_config(const Cursor& object, Config& out) {
  RETURN_IF_ERROR(object.expect_object());
  Notes notes{&out.unknown};
  note_unknown_members(object, notes);
  RETURN_IF_ERROR(object.read("no_pivot_root", out.no_pivot_root));
  RETURN_IF_ERROR(object.read("parent_death_signal", out.parent_death_signal));
  RETURN_IF_ERROR(object.read("pivot_dir", out.pivot_dir));
  RETURN_IF_ERROR(object.read("rootfs", out.rootfs));
  while (out.rootfs.size() > 1 && out.rootfs.back() == '/') out.rootfs.pop_back();
  RETURN_IF_ERROR(object.read("readonlyfs", out.readonlyfs));
  RETURN_IF_ERROR(read_older_words(object, out, notes));
  RETURN_IF_ERROR(read_newer_words(object, out, notes));
  RETURN_IF_ERROR(read_list(object, "mounts", out.mounts, notes, read_mount));
  RETURN_IF_ERROR(read_list(object, "devices", out.devices, notes, read_device));
  RETURN_IF_ERROR(object.read("hostname", out.hostname));
  RETURN_IF_ERROR(read_list(object, "namespaces", out.namespaces.entries(), notes, read_namespace));
  RETURN_IF_ERROR(read_list(object, "networks", out.networks, notes, read_network));
  RETURN_IF_ERROR(read_list(object, "routes", out.routes, notes, read_route));
  if (const auto cgroup = object.get("cgroups")) {
    RETURN_IF_ERROR(cgroup->expect_object());
    RETURN_IF_ERROR(read_cgroup(*cgroup, out.cgroups.emplace(), notes));
  }
  RETURN_IF_ERROR(read_list(object, "rlimits", out.rlimits, notes, read_rlimit));
  RETURN_IF_ERROR(object.read("additional_groups", out.additional_groups));
  RETURN_IF_ERROR(read_list(object, "uid_mappings", out.uid_mappings, notes, read_id_map));
  RETURN_IF_ERROR(read_list(object, "gid_mappings", out.gid_mappings, notes, read_id_map));
  RETURN_IF_ERROR(read_security(object, out, notes));
  for (const std::string_view name : {"hooks", "Hooks"}) {
    if (const auto hooks = object.get(name)) RETURN_IF_ERROR(read_hooks(*hooks, out.hooks.emplace(), notes));
  }
  // Both: somebody has added newer members to an older file. The newer words can hold it, with system calls by number.
  out.generation = notes.numeric && !notes.named ? Generation::kNumeric : Generation::kNamed;
  return {};
}

}  // namespace

Status read_device(const Cursor& object, Device& out, Notes& notes) {
  note_unknown(object, {"type", "path", "major", "minor", "permissions", "file_mode", "uid", "gid", "allow"}, notes);
  std::int32_t type = U'c';
  RETURN_IF_ERROR(object.read("type", type));
  if (type <= 0 || type > 127) return object.get("type")->error("must be the number of a letter, such as 99 for 'c'");
  out.type = static_cast<char32_t>(type);
  RETURN_IF_ERROR(object.read("path", out.path));
  RETURN_IF_ERROR(object.read("major", out.major));
  RETURN_IF_ERROR(object.read("minor", out.minor));
  RETURN_IF_ERROR(object.read("permissions", out.permissions));
  RETURN_IF_ERROR(object.read("file_mode", out.file_mode));
  RETURN_IF_ERROR(object.read("uid", out.uid));
  return object.read("gid", out.gid);
}

}  // namespace internal

Result<Config> parse_config(std::string text, std::string_view what) {
  ASSIGN_OR_RETURN(const auto document, codec::json::Document::parse(std::move(text), what));
  Config out;
  RETURN_IF_ERROR(internal::read_config(internal::Cursor(document.root(), what), out));
  return out;
}

Result<bool> looks_like_libcontainer(std::string text, std::string_view what) {
  ASSIGN_OR_RETURN(const auto document, codec::json::Document::parse(std::move(text), what));
  const internal::Cursor root(document.root(), what);
  RETURN_IF_ERROR(root.expect_object());
  if (root.get("ociVersion")) return false;
  return root.get("rootfs").has_value() || root.get("namespaces").has_value() || root.get("cgroups").has_value();
}

}  // namespace cooper::spec::libcontainer
