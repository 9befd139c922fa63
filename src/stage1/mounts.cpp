#include "stage1/mounts.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "base/strings.h"
#include "container/idmap_words.h"

namespace cooper::stage1 {
namespace {

using Words = std::vector<std::string>;

constexpr std::size_t kMaxOptionBytes = 255;  // of one fsconfig(2) value

std::vector<oci::Mount> default_mounts(const App& app, const Security& security) {
  const std::string access = app.privileged ? "rw" : "ro";
  Words proc{"nosuid", "noexec", "nodev"};
  proc.insert(proc.end(), security.proc_options.begin(), security.proc_options.end());
  return {
      {"/proc", "proc", "proc", proc, {}, {}},
      {"/dev", "tmpfs", "tmpfs", {"nosuid", "noexec", "strictatime", "mode=755", "size=65536k"}, {}, {}},
      {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", access}, {}, {}},
      {"/dev/pts",
       "devpts",
       "devpts",
       {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"},
       {},
       {}},
      {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}, {}, {}},
      {"/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=64000k"}, {}, {}},
      {"/sys/fs/cgroup", "cgroup", "cgroup", {"rprivate", "nosuid", "noexec", "nodev", "relatime", access}, {}, {}},
  };
}

bool is_propagation(std::string_view word) {
  static constexpr std::array<std::string_view, 8> kWords{"private", "rprivate", "shared",     "rshared",
                                                          "slave",   "rslave",   "unbindable", "runbindable"};
  return std::find(kWords.begin(), kWords.end(), word) != kWords.end();
}

bool has(const Words& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// What the words of one volume leave open.
struct Given {
  bool access = false, propagation = false, bind = false;
};

Result<Given> check_words(const Pod& pod, const Volume& volume) {
  Given out;
  if (has(volume.options, "ro") && has(volume.options, "rw")) {
    return Error(Errc::kInvalidArgument, "mount on " + quoted(volume.destination) + " is both 'ro' and 'rw'");
  }
  for (const std::string& word : volume.options) {
    out.access = out.access || word == "ro" || word == "rw" || word == "rro";
    out.propagation = out.propagation || is_propagation(word);
    out.bind = out.bind || word == "bind" || word == "rbind";
    if (word == "O" || word.starts_with("upperdir=") || word.starts_with("workdir=")) {
      return Error(Errc::kUnsupported,
                   "mount option " + quoted(word) + " of " + quoted(volume.destination) + " is not supported");
    }
    const bool idmap = container::is_idmap_word(word);
    if (!volume.pod_volume.empty() && idmap) {
      return Error(Errc::kInvalidArgument, "mount option " + quoted(word) + " of " + quoted(volume.destination) +
                                               " is for directories of the host: a volume of the pod is mapped anyway");
    }
    // Mappings of its own name ids of the host, but those with "@", which are of the pod.
    const bool of_host = word.find('=') != std::string::npos && word.find('@') == std::string::npos;
    if (pod.id_maps.empty() && idmap && !of_host) {
      return Error(Errc::kInvalidArgument, "mount option " + quoted(word) + " of " + quoted(volume.destination) +
                                               " needs a user namespace, whose ids the owners are mapped to")
          .with_hint("give the pod one: --userns auto");
    }
  }
  return out;
}

oci::Mount tmpfs_mount(const std::string& destination, const Words& options, const Given& given) {
  oci::Mount out{destination, "tmpfs", "tmpfs", {}, {}, {}};
  for (const std::string& word : options) {
    if (word == "notmpcopyup") continue;
    out.options.push_back(word);
  }
  if (!given.access) out.options.emplace_back("rw");
  if (!given.propagation) out.options.emplace_back("rprivate");
  if (!has(options, "suid") && !has(options, "nosuid")) out.options.emplace_back("nosuid");
  if (!has(options, "dev") && !has(options, "nodev")) out.options.emplace_back("nodev");
  if (!has(options, "notmpcopyup") && !has(options, "tmpcopyup")) out.options.emplace_back("tmpcopyup");
  return out;
}

// z, Z and U are done to the source before the start (pod/), or mean nothing here (no SELinux); copy words concern
// empty volumes.
bool is_preparation_word(std::string_view word) {
  return word == "z" || word == "Z" || word == "U" || word == "copy" || word == "nocopy";
}

void add_file(std::vector<oci::Mount>& out, const std::set<std::string>& taken, const std::string& source,
              const char* destination, bool read_only) {
  if (source.empty() || taken.contains(destination)) return;
  oci::Mount mount{destination, "bind", source, {"bind", "rprivate"}, {}, {}};
  if (read_only) mount.options.insert(mount.options.end(), {"ro", "nosuid", "noexec", "nodev"});
  out.push_back(std::move(mount));
}

Result<std::set<std::string>> destinations(const App& app) {
  std::set<std::string> out;
  for (const Volume& volume : app.volumes) {
    if (!volume.destination.starts_with('/') || volume.destination == "/") {
      return Error(Errc::kInvalidArgument,
                   "mount destination " + quoted(volume.destination) + " must be an absolute path other than '/'");
    }
    if (!out.insert(volume.destination).second) {
      return Error(Errc::kInvalidArgument, "two mounts on " + quoted(volume.destination));
    }
  }
  return out;
}

}  // namespace

Result<oci::Mount> volume_mount(const Pod& pod, const Volume& volume) {
  ASSIGN_OR_RETURN(const Given given, check_words(pod, volume));
  if (volume.tmpfs) return tmpfs_mount(volume.destination, volume.options, given);
  oci::Mount out{volume.destination, "bind", volume.source, {}, {}, {}};
  if (!volume.pod_volume.empty()) out.source = pod.volumes_dir + "/" + volume.pod_volume;
  if (!out.source.starts_with('/')) {
    return Error(Errc::kInvalidArgument, "mount source " + quoted(out.source) + " must be an absolute path");
  }
  for (const std::string& word : volume.options) {
    if (!word.empty() && !is_preparation_word(word)) out.options.push_back(word);
  }
  if (!given.access) out.options.emplace_back("rw");
  if (!given.propagation) out.options.emplace_back("rprivate");
  if (!given.bind) out.options.emplace_back("rbind");
  return out;
}

Result<std::vector<oci::Mount>> app_mounts(const Pod& pod, const App& app, const Security& security) {
  ASSIGN_OR_RETURN(const std::set<std::string> taken, destinations(app));
  std::vector<oci::Mount> out;
  for (oci::Mount& mount : default_mounts(app, security)) {
    if (!taken.contains(mount.destination)) out.push_back(std::move(mount));
  }
  for (const Volume& volume : app.volumes) {
    ASSIGN_OR_RETURN(oci::Mount mount, volume_mount(pod, volume));
    out.push_back(std::move(mount));
  }
  if (app.read_only) {
    for (const char* place : {"/run", "/tmp", "/var/tmp"}) {
      if (!taken.contains(place)) out.push_back(tmpfs_mount(place, {}, {}));
    }
  }
  add_file(out, taken, pod.hosts_file, "/etc/hosts", app.read_only);
  add_file(out, taken, pod.hostname_file, "/etc/hostname", app.read_only);
  add_file(out, taken, pod.resolv_file, "/etc/resolv.conf", app.read_only);
  if (app.init)
    out.push_back({kInitInside, "bind", pod.init_path, {"bind", "rprivate", "ro", "nosuid", "nodev"}, {}, {}});
  const auto depth = [](const oci::Mount& mount) {
    return std::count(mount.destination.begin(), mount.destination.end(), '/');
  };
  std::stable_sort(out.begin(), out.end(),
                   [&](const oci::Mount& a, const oci::Mount& b) { return depth(a) < depth(b); });
  return out;
}

std::string escape_overlay_path(const std::string& path) {
  std::string out;
  for (const char c : path) {
    if (c == '\\' || c == ':' || c == ',') out += '\\';
    out += c;
  }
  return out;
}

Result<container::MountRoot> root_mount(const Pod& pod, const App& app) {
  container::MountRoot root;
  root.path = app.mount_point;
  root.by_parent = !pod.id_maps.empty();
  if (app.root_image) root.attributes = io::mount_attributes(*app.root_image);
  if (app.own_copy) return root;
  root.fstype = "overlay";
  if (app.root_image) root.image = container::RootImage{*app.root_image, app.image_dir};
  const std::string& below = app.root_image ? app.image_dir : app.tree_rootfs;
  if (root.by_parent) root.id_mapped = container::IdMappedLayer{below, pod.id_maps.uids, pod.id_maps.gids};
  root.options = {{"lowerdir", escape_overlay_path(below)},
                  {"upperdir", escape_overlay_path(app.upper_dir)},
                  {"workdir", escape_overlay_path(app.work_dir)}};
  for (const auto& [key, path] : root.options) {
    if (path.size() <= kMaxOptionBytes) continue;
    return Error(Errc::kLimit, "path " + quoted(path) + " has more than the 255 bytes that a mount option can take")
        .with_hint("use a shorter --root");
  }
  // Without it the unmount at the end of the container writes all dirty pages of the whole disk (ovl_sync_fs), for
  // files that are removed a moment later. Not for pods that are kept: it also turns the app's own fsync into nothing.
  // Kernel 5.10.
  // Nor for a root that is mounted once more after its end: the kernel refuses that.
  if (pod.remove_on_exit && app.post_stop.empty()) root.wishes.emplace_back("volatile");
  return root;
}

}  // namespace cooper::stage1
