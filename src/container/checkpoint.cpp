#include "container/checkpoint.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/strings.h"
#include "container/container.h"
#include "container/criu_parts.h"
#include "container/internal.h"
#include "container/state.h"
#include "io/file.h"
#include "io/mountinfo.h"
#include "io/root_dir.h"
#include "log/log.h"
#include "sys/file.h"

namespace cooper::container {
namespace {

constexpr int kEndWaitMs = 10000;

std::string proc_path(pid_t pid, std::string_view name) {
  return "/proc/" + std::to_string(pid) + "/" + std::string(name);
}

// The mount that an open file is on, and whether the file is its root.
struct Place {
  std::uint64_t mount = 0;
  bool root = false;
};
Result<Place> place_of(BorrowedFd fd) {
  struct statx info = {};
  if (::statx(fd.get(), "", AT_EMPTY_PATH, STATX_MNT_ID, &info) != 0) return Error::from_errno(errno, "find a mount");
  if ((info.stx_mask & STATX_MNT_ID) == 0)
    return Error(Errc::kUnsupported, "this kernel does not tell which mount a file is on", EOPNOTSUPP);
  return Place{info.stx_mnt_id, (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0};
}

// What of the container comes from the host, and how it is called in the images.
class Outside {
 public:
  static Result<Outside> open(pid_t pid) {
    ASSIGN_OR_RETURN(auto root, io::RootDir::open(proc_path(pid, "root/.")));
    Outside out(pid, std::move(root));
    ASSIGN_OR_RETURN(const std::string table, io::read_file(proc_path(pid, "mountinfo")));
    out.lines_ = io::parse_mount_lines(table);
    return out;
  }

  Status add_mounts(const std::vector<HostMount>& wanted);
  Status add_masks(const std::vector<std::string>& paths);
  // `terminals`: those of the host may be among them.
  Status add_streams(bool terminals);
  Status add_namespaces(const std::vector<oci::Namespace>& namespaces);

  std::vector<criu::ExternalMount> mounts;
  std::vector<std::string> external;
  std::vector<std::string> links;  // of the standard streams
  CheckpointNotes notes;

 private:
  Outside(pid_t pid, io::RootDir root) : pid_(pid), root_(std::move(root)) {}
  // The mount point that a path leads to, links followed; empty when it is on none of its own.
  Result<std::string> point_of(const std::string& path) const;
  bool is_named(std::string_view point) const {
    return std::ranges::find(mounts, point, &criu::ExternalMount::key) != mounts.end();
  }

  pid_t pid_;
  io::RootDir root_;
  std::vector<io::MountLine> lines_;
};

Result<std::string> Outside::point_of(const std::string& path) const {
  auto file = root_.open_at(path, O_PATH);
  if (!file.ok() && (file.error().errno_value() == ENOENT || file.error().errno_value() == ENOTDIR))
    return std::string();
  if (!file.ok()) return std::move(file).error();
  ASSIGN_OR_RETURN(const Place place, place_of(*file));
  const auto line = std::ranges::find(lines_, place.mount, &io::MountLine::id);
  return place.root && line != lines_.end() ? line->point : std::string();
}

Status Outside::add_mounts(const std::vector<HostMount>& wanted) {
  std::vector<std::pair<std::string, const HostMount*>> trees;
  for (const HostMount& mount : wanted) {
    // Hidden by a later one, or unmounted by the container's processes.
    ASSIGN_OR_RETURN(const std::string point, point_of(mount.destination));
    if (point.empty() || is_named(point)) continue;
    mounts.push_back({point, mount.destination});
    if (mount.tree) trees.emplace_back(point, &mount);
  }
  for (const auto& [point, mount] : trees) {
    for (const io::MountLine& line : lines_) {
      if (!line.point.starts_with(point + "/") || is_named(line.point)) continue;
      // The deepest tree it is in.
      const bool deeper = std::ranges::any_of(trees, [&, &here = point](const auto& other) {
        return other.first.size() > here.size() && line.point.starts_with(other.first + "/");
      });
      if (deeper) continue;
      mounts.push_back({line.point, line.point});
      notes.below[line.point] = {mount->destination, line.point.substr(point.size())};
    }
  }
  return {};
}

Status Outside::add_masks(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(const std::string point, point_of(path));
    if (point.empty() || is_named(point)) continue;
    ASSIGN_OR_RETURN(const UniqueFd file, root_.open_at(path, O_PATH));
    ASSIGN_OR_RETURN(const struct stat info, sys::fstat(file));
    // Directories hide behind an empty file system, which CRIU can save.
    if (!S_ISDIR(info.st_mode)) mounts.push_back({point, std::string(kMaskedName)});
  }
  return {};
}

bool is_terminal(const struct stat& info) {
  // Consoles and serial lines, /dev/tty and /dev/console, slaves of pseudo terminals.
  const unsigned kind = major(info.st_rdev);
  return S_ISCHR(info.st_mode) && (kind == 4 || kind == 5 || (kind >= 136 && kind <= 143));
}

// CRIU's name for an open file that is none of the container's.
std::string name_of(const char* kind, std::uint64_t first, std::uint64_t second) {
  std::array<char, 64> name{};
  (void)std::snprintf(name.data(), name.size(), "%s[%llx:%llx]", kind, static_cast<unsigned long long>(first),
                      static_cast<unsigned long long>(second));
  return name.data();
}

Status Outside::add_streams(bool terminals) {
  for (int fd = 0; fd <= 2; ++fd) {
    const std::string number = std::to_string(fd);
    auto link = sys::readlinkat(sys::kCwd, proc_path(pid_, "fd/" + number));
    links.push_back(link.ok() ? *link : std::string());
    if (!link.ok() || link->empty() || link->front() != '/') continue;
    // A file of somewhere else, such as a log: the kernel knows it by its mount, which the container does not have.
    auto file = sys::openat(sys::kCwd, proc_path(pid_, "fd/" + number), O_PATH);
    if (!file.ok()) continue;
    ASSIGN_OR_RETURN(const Place place, place_of(*file));
    if (std::ranges::find(lines_, place.mount, &io::MountLine::id) != lines_.end()) continue;
    ASSIGN_OR_RETURN(const struct stat info, sys::fstat(*file));
    const bool terminal = is_terminal(info);
    if (terminal && !terminals)
      return Error(Errc::kUnsupported,
                   "descriptor " + number + " of its process is a terminal of the host, " + quoted(*link))
          .with_hint("try --shell-job");
    const std::string name =
        terminal ? name_of("tty", info.st_rdev, info.st_dev) : name_of("file", place.mount, info.st_ino);
    if (std::ranges::find(external, name) == external.end()) external.push_back(name);
    notes.streams[fd] = name;
  }
  return {};
}

Status Outside::add_namespaces(const std::vector<oci::Namespace>& namespaces) {
  for (const oci::Namespace& ns : namespaces) {
    if (ns.path.empty() || (ns.type != "network" && ns.type != "pid")) continue;
    const bool network = ns.type == "network";
    // Of the process, not of the path: that may be gone by now, or be somebody else's.
    ASSIGN_OR_RETURN(const struct stat info,
                     sys::fstatat(sys::kCwd, proc_path(pid_, network ? "ns/net" : "ns/pid"), 0));
    external.push_back((network ? "net[" : "pid[") + std::to_string(info.st_ino) +
                       (network ? "]:extRootNetNS" : "]:extRootPidNS"));
  }
  return {};
}

criu::Options dump_options(const CheckpointOptions& options) {
  criu::Options out = common_options(options);
  out.images_dir_fd = kImagesOfCriu;
  out.work_dir_fd = kWorkOfCriu;
  out.log_file = "dump.log";
  out.leave_running = options.leave_running;
  out.parent_images = options.parent_path;
  out.track_memory = options.pre_dump || !options.parent_path.empty();
  out.page_server = options.page_server;
  out.tcp_skip_in_flight = options.tcp_skip_in_flight;
  out.link_remap = options.link_remap;
  if (options.status_fd >= 0) out.status_fd = kFirstPassedToCriu;
  return out;
}

std::string freezer_of(const cgroup::Group& group) {
  const auto directories = group.directories();
  const auto found = directories.find(group.tree() == cgroup::Tree::kV2 ? "" : "freezer");
  return found == directories.end() ? std::string() : found->second;
}

Status check_parent(const CheckpointOptions& options) {
  if (options.parent_path.empty()) return {};
  if (options.parent_path.front() == '/')
    return Error(Errc::kInvalidArgument,
                 "--parent-path " + quoted(options.parent_path) + " must be relative to the directory of the images");
  const auto info = sys::fstatat(sys::kCwd, options.image_path + "/" + options.parent_path, 0);
  if (!info.ok())
    return Error(info.error().code(), info.error().message(), info.error().errno_value()).with("--parent-path");
  if (!S_ISDIR(info->st_mode))
    return Error(Errc::kInvalidArgument, "--parent-path " + quoted(options.parent_path) + " is not a directory",
                 ENOTDIR);
  return {};
}

Error cannot_checkpoint(const std::string& id, Error error) {
  return std::move(error).with("checkpoint container " + quoted(id));
}

}  // namespace

Status Container::check_checkpoint() {
  if (record_.sandbox)
    return Error(Errc::kUnsupported, "it is a sandbox, and has no bundle to be restored from")
        .with_hint("start the program from a bundle, with 'coop run'");
  if (options_.rootless)
    return Error(Errc::kUnsupported, "CRIU needs root, and containers of users without privileges cannot be saved",
                 EPERM);
  ASSIGN_OR_RETURN(const RunStatus now, status_under_lock());
  if (now == RunStatus::kRunning || now == RunStatus::kPaused) return {};
  return not_running(record_, now);
}

Result<criu::Request> Container::dump_request(const CheckpointOptions& options,
                                              const CriuDirectories& directories) const {
  ASSIGN_OR_RETURN(const oci::Config spec, config());
  CreateOptions create;
  create.id = record_.id;
  create.bundle = record_.bundle;
  create.systemd_cgroup = record_.systemd_cgroup;
  ASSIGN_OR_RETURN(const Plan plan, Factory(options_).plan(spec, create));
  RETURN_IF_ERROR(check_restorable(spec, plan));
  criu::Request request;
  request.type = options.pre_dump ? criu::RequestType::kPreDump : criu::RequestType::kDump;
  criu::Options& wanted = request.options.emplace(dump_options(options));
  wanted.pid = record_.pid;
  wanted.root = record_.rootfs;
  wanted.config_file = criu_config_file(spec);
  ASSIGN_OR_RETURN(Outside outside, Outside::open(record_.pid));
  if (!record_.cgroup_path.empty()) {
    ASSIGN_OR_RETURN(const auto group, this->group());
    wanted.freeze_cgroup = freezer_of(group);
  }
  ASSIGN_OR_RETURN(const cgroup::Layout layout, cgroup::probe_layout());
  std::vector<HostMount> mounts = host_mounts(plan);
  std::ranges::move(cgroup_binds(spec, plan, layout, record_.cgroup_path), std::back_inserter(mounts));
  RETURN_IF_ERROR(outside.add_mounts(mounts));
  if (spec.linux) {
    RETURN_IF_ERROR(outside.add_masks(spec.linux->masked_paths));
    RETURN_IF_ERROR(outside.add_namespaces(spec.linux->namespaces));
  }
  RETURN_IF_ERROR(outside.add_streams(options.shell_job));
  wanted.external_mounts = std::move(outside.mounts);
  wanted.external = std::move(outside.external);
  if (options.pre_dump) return request;
  RETURN_IF_ERROR(
      io::write_file_atomic(directories.images, std::string(kDescriptorsFile), print_descriptors(outside.links), 0600));
  RETURN_IF_ERROR(io::write_file_atomic(directories.images, std::string(kNotesFile), print_notes(outside.notes), 0600));
  return request;
}

Status Container::dump(const CheckpointOptions& options) {
  RETURN_IF_ERROR(check_checkpoint());
  ASSIGN_OR_RETURN(const RunStatus before, status());
  // Before directories are made.
  if (auto program = criu::find_program(); !program.ok()) return std::move(program).error();
  ASSIGN_OR_RETURN(const CriuDirectories directories,
                   open_criu_directories(options, "dump.log", ImagesDirectory::kMake));
  Status done = dump_into(directories, options);
  if (done.ok()) return done;
  // criu may have been killed while it held the processes.
  if (before == RunStatus::kRunning && !record_.cgroup_path.empty()) {
    if (auto group = this->group(); group.ok()) (void)!group->thaw().ok();
  }
  discard_criu_directories(directories);
  return done;
}

Status Container::dump_into(const CriuDirectories& directories, const CheckpointOptions& options) {
  // Relative to the directory of the images, which had to be there first.
  RETURN_IF_ERROR(check_parent(options));
  criu::SessionOptions with;
  if (options.status_fd >= 0) with.passed = {options.status_fd};
  ASSIGN_OR_RETURN(auto session, start_criu(std::move(with), directories,
                                            {.memory_tracking = options.pre_dump, .lazy_pages = options.lazy_pages}));
  ASSIGN_OR_RETURN(const UniqueFd pidfd, init_pidfd());
  ASSIGN_OR_RETURN(const criu::Request request, dump_request(options, directories));
  auto done = session.run(request, [](const criu::Notification&, UniqueFd) { return Status(); });
  if (!done.ok()) return explain_criu_failure(std::move(done).error(), directories);
  if (options.pre_dump || options.leave_running) return {};
  ASSIGN_OR_RETURN(const bool ended, sys::pidfd_wait(pidfd, kEndWaitMs));
  if (!ended) return Error(Errc::kTimeout, "its processes did not end after they had been saved");
  return {};
}

Status Container::checkpoint(const CheckpointOptions& options) {
  const StatePaths paths = state_paths(options_.root, record_.id);
  {
    auto lock = RecordFile::lock(paths.record());
    if (!lock.ok()) return cannot_checkpoint(record_.id, std::move(lock).error());
    if (Status done = dump(options); !done.ok()) return cannot_checkpoint(record_.id, std::move(done).error());
  }
  if (options.pre_dump || options.leave_running) return {};
  // Its parent may have been quicker.
  Status deleted = destroy(false);
  if (!deleted.ok() && deleted.error().code() == Errc::kNotFound) return {};
  return deleted;
}

}  // namespace cooper::container
