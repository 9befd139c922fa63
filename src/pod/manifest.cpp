#include "pod/manifest.h"

#include "base/strings.h"
#include "codec/json.h"
#include "io/file.h"
#include "pod/id_maps.h"
#include "pod/layout.h"

namespace cooper::pod {
namespace {

using codec::json::Cursor;
using codec::json::Writer;
using StringMap = std::map<std::string, std::string>;

constexpr const char* kWhat = "pod manifest";

void write_map(Writer& out, std::string_view key, const StringMap& map) {
  if (map.empty()) return;
  out.key(key).begin_object();
  for (const auto& [name, value] : map) out.field(name, value);
  out.end_object();
}

void write_list(Writer& out, std::string_view key, const std::vector<std::string>& list) {
  if (!list.empty()) out.field(key, list);
}

void write_text(Writer& out, std::string_view key, const std::string& text) {
  if (!text.empty()) out.field(key, text);
}

void write_flag(Writer& out, std::string_view key, bool flag) {
  if (flag) out.field(key, true);
}

void write_volume(Writer& out, const stage1::Volume& volume) {
  out.begin_object().field("destination", volume.destination);
  write_text(out, "source", volume.source);
  write_text(out, "podVolume", volume.pod_volume);
  write_flag(out, "tmpfs", volume.tmpfs);
  write_list(out, "options", volume.options);
  out.end_object();
}

void write_limits(Writer& out, const stage1::App& app) {
  if (!app.ulimits.empty()) {
    out.key("ulimits").begin_array();
    for (const stage1::Limit& limit : app.ulimits) {
      out.begin_object().field("name", limit.name).field("soft", limit.soft).field("hard", limit.hard).end_object();
    }
    out.end_array();
  }
  out.optional_field("memoryBytes", app.memory_bytes);
  out.optional_field("memorySwapBytes", app.memory_swap_bytes);
  out.optional_field("cpus", app.cpus);
  out.optional_field("cpuShares", app.cpu_shares);
  write_text(out, "cpusetCpus", app.cpuset_cpus);
  out.optional_field("pidsLimit", app.pids_limit);
  out.optional_field("oomScoreAdj", app.oom_score_adj);
}

void write_user(Writer& out, const stage1::App& app) {
  out.key("user").begin_object().field("uid", app.uid).field("gid", app.gid);
  if (!app.additional_gids.empty()) {
    out.key("additionalGids").begin_array();
    for (const std::uint32_t gid : app.additional_gids) out.number(gid);
    out.end_array();
  }
  out.end_object();
}

void write_root_image(Writer& out, const std::optional<io::FilesystemImage>& image) {
  if (!image) return;
  out.key("rootImage").begin_object().field("file", image->file).field("type", image->fstype);
  out.field("offset", image->offset).field("size", image->size).field("inode", image->inode);
  out.field("fileSize", image->file_size).field("modifiedNs", image->modified_ns);
  out.field("untrusted", image->untrusted).end_object();
}

void write_mappings(Writer& out, std::string_view key, const std::vector<oci::IdMapping>& mappings) {
  out.key(key).begin_array();
  for (const oci::IdMapping& m : mappings) {
    out.begin_object().field("containerID", m.container_id).field("hostID", m.host_id).field("size", m.size);
    out.end_object();
  }
  out.end_array();
}

void write_app(Writer& out, const AppManifest& entry) {
  const stage1::App& app = entry.app;
  out.begin_object().field("name", app.name).field("image", entry.image).field("imageId", entry.image_id);
  write_text(out, "tree", entry.chain);
  write_text(out, "treeRootfs", app.tree_rootfs);
  write_root_image(out, app.root_image);
  write_flag(out, "ownCopy", app.own_copy);
  out.field("args", app.args).field("env", app.env).field("workingDir", app.working_dir);
  write_user(out, app);
  out.field("stopSignal", app.stop_signal);
  if (!app.volumes.empty()) {
    out.key("volumes").begin_array();
    for (const stage1::Volume& volume : app.volumes) write_volume(out, volume);
    out.end_array();
  }
  write_list(out, "capAdd", app.cap_add);
  write_list(out, "capDrop", app.cap_drop);
  write_list(out, "securityOpts", app.security_opts);
  write_text(out, "seccompProfile", app.seccomp_profile);
  write_list(out, "preStart", app.pre_start);
  write_list(out, "postStop", app.post_stop);
  write_flag(out, "privileged", app.privileged);
  write_flag(out, "readOnly", app.read_only);
  write_limits(out, app);
  write_flag(out, "terminal", app.terminal);
  write_flag(out, "stdinOpen", app.stdin_open);
  write_flag(out, "init", app.init);
  write_map(out, "labels", entry.labels);
  write_map(out, "annotations", app.annotations);
  out.end_object();
}

Status read_map(const Cursor& object, std::string_view key, StringMap& out) {
  const auto map = object.get(key);
  if (!map) return {};
  return map->for_each_member([&](std::string_view name, const Cursor& value) -> Status {
    ASSIGN_OR_RETURN(out[std::string(name)], value.string());
    return {};
  });
}

template <typename F>
Status read_each(const Cursor& object, std::string_view key, F read_item) {
  const auto list = object.get(key);
  if (!list) return {};
  return list->for_each([&](const Cursor& item) -> Status {
    RETURN_IF_ERROR(item.expect_object());
    return read_item(item);
  });
}

Status read_cpus(const Cursor& object, stage1::App& app) {
  const auto cpus = object.get("cpus");
  if (!cpus) return {};
  app.cpus = cpus->value().as_double();
  if (!app.cpus) return cpus->error("must be a number");
  return {};
}

Status read_limits(const Cursor& object, stage1::App& app) {
  Status ulimits = read_each(object, "ulimits", [&](const Cursor& item) -> Status {
    stage1::Limit limit;
    RETURN_IF_ERROR(item.read("name", limit.name));
    RETURN_IF_ERROR(item.read("soft", limit.soft));
    RETURN_IF_ERROR(item.read("hard", limit.hard));
    app.ulimits.push_back(std::move(limit));
    return {};
  });
  RETURN_IF_ERROR(std::move(ulimits));
  RETURN_IF_ERROR(object.read("memoryBytes", app.memory_bytes));
  RETURN_IF_ERROR(object.read("memorySwapBytes", app.memory_swap_bytes));
  RETURN_IF_ERROR(read_cpus(object, app));
  RETURN_IF_ERROR(object.read("cpuShares", app.cpu_shares));
  RETURN_IF_ERROR(object.read("cpusetCpus", app.cpuset_cpus));
  RETURN_IF_ERROR(object.read("pidsLimit", app.pids_limit));
  return object.read("oomScoreAdj", app.oom_score_adj);
}

Status read_volumes(const Cursor& object, stage1::App& app) {
  return read_each(object, "volumes", [&](const Cursor& item) -> Status {
    stage1::Volume volume;
    RETURN_IF_ERROR(item.read("destination", volume.destination));
    RETURN_IF_ERROR(item.read("source", volume.source));
    RETURN_IF_ERROR(item.read("podVolume", volume.pod_volume));
    RETURN_IF_ERROR(item.read("tmpfs", volume.tmpfs));
    RETURN_IF_ERROR(item.read("options", volume.options));
    // It becomes a path below the pod.
    if (volume.pod_volume.find('/') != std::string::npos || volume.pod_volume == "..")
      return item.error("not the name of a volume");
    app.volumes.push_back(std::move(volume));
    return {};
  });
}

Status read_user(const Cursor& object, stage1::App& app) {
  ASSIGN_OR_RETURN(const Cursor user, object.require("user"));
  RETURN_IF_ERROR(user.expect_object());
  RETURN_IF_ERROR(user.read("uid", app.uid));
  RETURN_IF_ERROR(user.read("gid", app.gid));
  const auto gids = user.get("additionalGids");
  if (!gids) return {};
  return gids->for_each([&](const Cursor& item) -> Status {
    ASSIGN_OR_RETURN(const std::uint32_t gid, item.integer<std::uint32_t>());
    app.additional_gids.push_back(gid);
    return {};
  });
}

Status read_root_image(const Cursor& object, stage1::App& app) {
  const auto member = object.get("rootImage");
  if (!member) return {};
  RETURN_IF_ERROR(member->expect_object());
  io::FilesystemImage image;
  RETURN_IF_ERROR(member->read("file", image.file));
  RETURN_IF_ERROR(member->read("type", image.fstype));
  RETURN_IF_ERROR(member->read("offset", image.offset));
  RETURN_IF_ERROR(member->read("size", image.size));
  RETURN_IF_ERROR(member->read("inode", image.inode));
  RETURN_IF_ERROR(member->read("fileSize", image.file_size));
  RETURN_IF_ERROR(member->read("modifiedNs", image.modified_ns));
  RETURN_IF_ERROR(member->read("untrusted", image.untrusted));
  app.root_image = std::move(image);
  return {};
}

Status read_app(const Cursor& item, PodManifest& out) {
  AppManifest& entry = out.apps.emplace_back();
  stage1::App& app = entry.app;
  ASSIGN_OR_RETURN(const Cursor name, item.require("name"));
  ASSIGN_OR_RETURN(app.name, name.string());
  if (!AppName::parse(app.name).ok()) return name.error("not the name of an app");
  RETURN_IF_ERROR(item.read("image", entry.image));
  RETURN_IF_ERROR(item.read("imageId", entry.image_id));
  RETURN_IF_ERROR(item.read("tree", entry.chain));
  RETURN_IF_ERROR(item.read("treeRootfs", app.tree_rootfs));
  RETURN_IF_ERROR(read_root_image(item, app));
  RETURN_IF_ERROR(item.read("ownCopy", app.own_copy));
  RETURN_IF_ERROR(item.read("args", app.args));
  RETURN_IF_ERROR(item.read("env", app.env));
  RETURN_IF_ERROR(item.read("workingDir", app.working_dir));
  RETURN_IF_ERROR(read_user(item, app));
  RETURN_IF_ERROR(item.read("stopSignal", app.stop_signal));
  RETURN_IF_ERROR(read_volumes(item, app));
  RETURN_IF_ERROR(item.read("capAdd", app.cap_add));
  RETURN_IF_ERROR(item.read("capDrop", app.cap_drop));
  RETURN_IF_ERROR(item.read("securityOpts", app.security_opts));
  RETURN_IF_ERROR(item.read("preStart", app.pre_start));
  RETURN_IF_ERROR(item.read("postStop", app.post_stop));
  RETURN_IF_ERROR(item.read("seccompProfile", app.seccomp_profile));
  RETURN_IF_ERROR(item.read("privileged", app.privileged));
  RETURN_IF_ERROR(item.read("readOnly", app.read_only));
  RETURN_IF_ERROR(read_limits(item, app));
  RETURN_IF_ERROR(item.read("terminal", app.terminal));
  RETURN_IF_ERROR(item.read("stdinOpen", app.stdin_open));
  RETURN_IF_ERROR(item.read("init", app.init));
  RETURN_IF_ERROR(read_map(item, "labels", entry.labels));
  return read_map(item, "annotations", app.annotations);
}

Status read_mappings(const Cursor& root, std::string_view key, std::string_view what,
                     std::vector<oci::IdMapping>& out) {
  Status read = read_each(root, key, [&](const Cursor& item) -> Status {
    oci::IdMapping& m = out.emplace_back();
    RETURN_IF_ERROR(item.read("containerID", m.container_id));
    RETURN_IF_ERROR(item.read("hostID", m.host_id));
    return item.read("size", m.size);
  });
  RETURN_IF_ERROR(std::move(read));
  return check_id_mappings(out, what);
}

// Without them the apps would be users of the host: none, or both.
Status read_id_maps(const Cursor& root, stage1::IdMaps& out) {
  if (!root.get("uidMappings") && !root.get("gidMappings")) return {};
  RETURN_IF_ERROR(read_mappings(root, "uidMappings", "user", out.uids));
  return read_mappings(root, "gidMappings", "group", out.gids);
}

Status read_network(const Cursor& root, Network& out) {
  ASSIGN_OR_RETURN(const Cursor member, root.require("network"));
  ASSIGN_OR_RETURN(const std::string word, member.string());
  for (const Network network : {Network::kNone, Network::kHost}) {
    if (network_word(network) != word) continue;
    out = network;
    return {};
  }
  return member.error("unknown network " + quoted(word), Errc::kUnsupported);
}

Status check_version(const Cursor& root) {
  RETURN_IF_ERROR(root.expect_object());
  ASSIGN_OR_RETURN(const Cursor member, root.require("version"));
  ASSIGN_OR_RETURN(const int version, member.integer<int>());
  if (version < 1) return member.error("must be positive");
  if (version > kManifestVersion) {
    return member.error("version " + std::to_string(version) + " was written by a newer cooper", Errc::kUnsupported);
  }
  return {};
}

}  // namespace

const AppManifest* PodManifest::find(std::string_view app) const {
  for (const AppManifest& entry : apps) {
    if (entry.app.name == app) return &entry;
  }
  return nullptr;
}

std::string PodManifest::app_names() const {
  std::vector<std::string> names;
  for (const AppManifest& entry : apps) names.push_back(quoted(entry.app.name));
  return join(names, ", ");
}

std::string_view network_word(Network network) {
  return network == Network::kHost ? "host" : "none";
}

std::string print_manifest(const PodManifest& manifest) {
  Writer out;
  out.begin_object().field("version", kManifestVersion).field("uuid", manifest.uuid.str()).field("name", manifest.name);
  out.field("hostname", manifest.hostname).field("network", network_word(manifest.network));
  write_flag(out, "single", manifest.single);
  write_flag(out, "removeOnExit", manifest.remove_on_exit);
  out.field("createdUnixMs", manifest.created_unix_ms).field("stopTimeoutMs", manifest.stop_timeout_ms);
  if (!manifest.id_maps.empty()) {
    write_mappings(out, "uidMappings", manifest.id_maps.uids);
    write_mappings(out, "gidMappings", manifest.id_maps.gids);
  }
  if (manifest.log_max_bytes != 0) out.field("logMaxBytes", manifest.log_max_bytes);
  write_map(out, "labels", manifest.labels);
  write_map(out, "annotations", manifest.annotations);
  out.key("apps").begin_array();
  for (const AppManifest& app : manifest.apps) write_app(out, app);
  out.end_array().end_object();
  return out.take() + "\n";
}

Result<PodManifest> parse_manifest(std::string text) {
  ASSIGN_OR_RETURN(const auto document, codec::json::Document::parse(std::move(text), kWhat));
  const Cursor root(document.root(), kWhat);
  RETURN_IF_ERROR(check_version(root));
  ASSIGN_OR_RETURN(const Cursor id, root.require("uuid"));
  ASSIGN_OR_RETURN(const std::string uuid_text, id.string());
  ASSIGN_OR_RETURN(PodUuid uuid, PodUuid::parse(uuid_text));
  PodManifest out{std::move(uuid), {}, {}, Network::kNone, false, false, 0, 10000, 0, {}, {}, {}, {}};
  RETURN_IF_ERROR(root.read("name", out.name));
  RETURN_IF_ERROR(root.read("hostname", out.hostname));
  RETURN_IF_ERROR(read_network(root, out.network));
  RETURN_IF_ERROR(root.read("single", out.single));
  RETURN_IF_ERROR(root.read("removeOnExit", out.remove_on_exit));
  RETURN_IF_ERROR(root.read("createdUnixMs", out.created_unix_ms));
  RETURN_IF_ERROR(root.read("stopTimeoutMs", out.stop_timeout_ms));
  RETURN_IF_ERROR(root.read("logMaxBytes", out.log_max_bytes));
  RETURN_IF_ERROR(read_id_maps(root, out.id_maps));
  RETURN_IF_ERROR(read_map(root, "labels", out.labels));
  RETURN_IF_ERROR(read_map(root, "annotations", out.annotations));
  RETURN_IF_ERROR(read_each(root, "apps", [&](const Cursor& item) { return read_app(item, out); }));
  if (out.apps.empty()) return root.error("needs at least one app");
  return out;
}

Result<PodManifest> read_manifest(BorrowedFd pod_dir) {
  auto text = io::read_file(pod_dir, kManifestFile, kMaxManifestBytes);
  if (!text.ok()) {
    if (text.error().code() == Errc::kNotFound) return Error(Errc::kCorrupt, "the pod has no manifest", ENOENT);
    return std::move(text).error();
  }
  auto manifest = parse_manifest(std::move(text).value());
  if (!manifest.ok() && manifest.error().code() == Errc::kInvalidArgument)
    return std::move(manifest).error().with_code(Errc::kCorrupt);
  return manifest;
}

}  // namespace cooper::pod
