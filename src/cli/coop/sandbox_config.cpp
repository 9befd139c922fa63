#include "cli/coop/sandbox_config.h"

#include <sys/mount.h>

#include <algorithm>

#include "base/strings.h"
#include "container/validate_rules.h"
#include "spec/oci_runtime/defaults.h"
#include "sys/mount.h"

namespace cooper::cli::coop {
namespace {

using Kind = FileOperation::Kind;
using Wish = SandboxOptions::Wish;
using container::RootEntry;

std::string octal(mode_t mode) {
  std::string out;
  for (int shift = 9; shift >= 0; shift -= 3) out += static_cast<char>('0' + (mode >> shift & 7));
  return out;
}

std::string below(const std::string& directory, std::string_view name) {
  return (directory == "/" ? "" : directory) + "/" + std::string(name);
}

std::string descriptor_path(int fd) {
  return "/proc/self/fd/" + std::to_string(fd);
}

class Builder {
 public:
  Builder(const SandboxOptions& options, const SandboxHost& host) : options_(options), host_(host) {}

  Result<Sandbox> build(const std::vector<std::string>& command) {
    out_.config.oci_version = oci::kSpecVersion;
    out_.config.linux.emplace();
    RETURN_IF_ERROR(namespaces());
    RETURN_IF_ERROR(root_file_system());
    process(command);
    limits();
    return std::move(out_);
  }

 private:
  Status namespaces();
  void process(const std::vector<std::string>& command);
  void environment();
  std::vector<std::string> capabilities() const;
  void limits();

  Status root_file_system();
  Status make_root(const FileOperation& op);
  Status operation(const FileOperation& op);
  Status bind(const FileOperation& op);
  void device_files(const FileOperation& op);
  void process_files(const FileOperation& op);
  Status check_sources(const FileOperation& op, bool& present) const;
  std::vector<std::string> bind_options(const FileOperation& op) const;
  std::vector<std::string> overlay_options(const FileOperation& op) const;
  std::string absolute(const std::string& path) const {
    return path.starts_with('/') ? path : below(host_.working_directory, path);
  }

  void mount(const FileOperation& op, oci::Mount mount) {
    out_.config.mounts.push_back(std::move(mount));
    out_.words.push_back(op.words);
  }
  void entry(RootEntry entry) {
    entry.before_mount = out_.config.mounts.size();
    out_.extras.entries.push_back(std::move(entry));
  }

  const SandboxOptions& options_;
  const SandboxHost& host_;
  Sandbox out_;
  bool new_user_ = false;
  uid_t uid_ = 0;
  gid_t gid_ = 0;
};

Status Builder::namespaces() {
  oci::Linux& linux = *out_.config.linux;
  new_user_ = !options_.userns_fd && (options_.user == Wish::kYes || !host_.privileged ||
                                      (options_.user == Wish::kIfPossible && host_.has_user_namespaces));
  if (options_.userns2_fd && new_user_) {
    return Error(Errc::kInvalidArgument, "--userns2: it cannot be below a user namespace that is made now")
        .with_hint("give the one above it by --userns");
  }
  const bool cgroup =
      options_.cgroup == Wish::kYes || (options_.cgroup == Wish::kIfPossible && host_.has_cgroup_namespaces);
  linux.namespaces.push_back({"mount", ""});
  if (new_user_) linux.namespaces.push_back({"user", ""});
  if (options_.userns_fd) linux.namespaces.push_back({"user", descriptor_path(*options_.userns_fd)});
  if (options_.ipc) linux.namespaces.push_back({"ipc", ""});
  if (options_.pid) linux.namespaces.push_back({"pid", ""});
  if (options_.pidns_fd && options_.pid) out_.extras.parent_pid_namespace = descriptor_path(*options_.pidns_fd);
  if (options_.pidns_fd && !options_.pid) linux.namespaces.push_back({"pid", descriptor_path(*options_.pidns_fd)});
  if (options_.userns2_fd) out_.extras.inner_user_fd = *options_.userns2_fd;
  out_.extras.lock_files = options_.lock_files;
  if (options_.net) linux.namespaces.push_back({"network", ""});
  if (options_.uts) linux.namespaces.push_back({"uts", ""});
  if (cgroup) linux.namespaces.push_back({"cgroup", ""});
  out_.extras.loopback = options_.net;
  out_.extras.init = options_.pid && !options_.as_pid_1;
  out_.config.hostname = options_.hostname;
  uid_ = options_.uid.value_or(host_.uid);
  gid_ = options_.gid.value_or(host_.gid);
  if (!new_user_) return {};
  // Root of the namespace is who makes the mounts; the program is somebody in a namespace below, when it is not root.
  linux.uid_mappings = {{0, host_.uid, 1}};
  linux.gid_mappings = {{0, host_.gid, 1}};
  if (uid_ != 0 || gid_ != 0) out_.extras.inner_user = container::InnerUser{uid_, gid_};
  return {};
}

// ---- the root file system ----

Status Builder::root_file_system() {
  // Nodes are those of --dev, in its place among the others.
  out_.extras.device_nodes = container::DeviceNodes::kNone;
  bool first = true;
  for (const FileOperation& op : options_.operations) {
    bool present = true;
    RETURN_IF_ERROR(check_sources(op, present));
    if (!present) continue;
    const bool covers_root = container::rules::clean_path(op.destination) == "/" && op.kind != Kind::kRemountReadonly &&
                             op.kind != Kind::kMode && op.kind != Kind::kDirectory;
    if (covers_root && !first) {
      return Error(Errc::kInvalidArgument, op.words + ": the root would cover what was done before")
          .with_hint("put it before all other options about files");
    }
    if (first && !covers_root) out_.root = container::MountRoot{"/", "tmpfs", {{"mode", "0755"}}, {}, 0};
    RETURN_IF_ERROR(covers_root ? make_root(op) : operation(op));
    first = false;
  }
  if (first) out_.root = container::MountRoot{"/", "tmpfs", {{"mode", "0755"}}, {}, 0};
  if (out_.root) out_.root->attributes |= MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  out_.config.root = oci::Root{out_.root ? "/" : out_.config.root->path, false};
  return {};
}

Status Builder::make_root(const FileOperation& op) {
  switch (op.kind) {
    case Kind::kBind: {
      out_.config.root = oci::Root{host_.resolve(absolute(op.source)), false};
      oci::Mount attributes;
      attributes.destination = "/";
      attributes.options = {"rbind", "remount", "nosuid"};
      if (!op.devices) attributes.options.emplace_back("nodev");
      if (op.readonly) attributes.options.emplace_back("ro");
      mount(op, std::move(attributes));
      return {};
    }
    case Kind::kTmpfs: {
      container::MountRoot root{"/", "tmpfs", {{"mode", octal(op.mode.value_or(0755))}}, {}, 0};
      if (op.size_bytes) root.options.emplace_back("size", std::to_string(*op.size_bytes));
      out_.root = std::move(root);
      return {};
    }
    case Kind::kOverlay: {
      container::MountRoot root{"/", "overlay", {}, {}, op.readonly ? std::uint64_t{MOUNT_ATTR_RDONLY} : 0};
      for (const std::string& option : overlay_options(op)) {
        const auto pair = split_once(option, '=');
        root.options.emplace_back(pair ? pair->first : option, pair ? pair->second : std::string_view());
      }
      root.scratch_layers = op.scratch;
      out_.root = std::move(root);
      return {};
    }
    default:
      return Error(Errc::kInvalidArgument, op.words + ": this cannot be the root of the sandbox")
          .with_hint("the root is a bind, a tmpfs or an overlay");
  }
}

Status Builder::check_sources(const FileOperation& op, bool& present) const {
  std::vector<std::string> sources;
  if (op.kind == Kind::kBind) sources.push_back(op.source);
  if (op.kind == Kind::kOverlay) {
    sources = op.layers;
    for (const std::string* path : {&op.source, &op.work}) {
      if (!path->empty()) sources.push_back(*path);
    }
  }
  for (const std::string& source : sources) {
    const int error = host_.look(absolute(source));
    if (error == 0) continue;
    if (error == ENOENT && op.if_present) {
      present = false;
      return {};
    }
    Error wrong = Error::from_errno(error, op.words + ": " + quoted(source));
    if (error != ENOENT || op.kind != Kind::kBind) return wrong;
    return std::move(wrong).with_hint("the -try form of the option leaves out what is missing");
  }
  return {};
}

Status Builder::operation(const FileOperation& op) {
  RootEntry made;
  made.path = container::rules::clean_path(op.destination);
  made.fd = op.fd;
  switch (op.kind) {
    case Kind::kBind:
      return bind(op);
    case Kind::kTmpfs: {
      std::vector<std::string> words{"nosuid", "nodev", "mode=" + octal(op.mode.value_or(0755))};
      if (op.size_bytes) words.push_back("size=" + std::to_string(*op.size_bytes));
      mount(op, {op.destination, "tmpfs", "tmpfs", std::move(words), {}, {}});
      return {};
    }
    case Kind::kProc:
      process_files(op);
      return {};
    case Kind::kDev:
      device_files(op);
      return {};
    case Kind::kMqueue:
      mount(op, {op.destination, "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}, {}, {}});
      return {};
    case Kind::kDirectory:
      made.mode = op.mode.value_or(0755);
      break;
    case Kind::kSymlink:
      made.kind = RootEntry::Kind::kSymlink;
      made.target = op.source;
      break;
    case Kind::kFile:
      made.kind = RootEntry::Kind::kFile;
      made.mode = op.mode.value_or(0666);
      break;
    case Kind::kData:
      made.kind = RootEntry::Kind::kData;
      made.mode = op.mode.value_or(0600);
      made.readonly = op.readonly;
      break;
    case Kind::kMode:
      made.kind = RootEntry::Kind::kMode;
      made.mode = *op.mode;
      break;
    case Kind::kRemountReadonly:
      mount(op, {op.destination, "", "", {"bind", "remount", "ro"}, {}, {}});
      return {};
    case Kind::kOverlay: {
      std::vector<std::string> words = overlay_options(op);
      words.insert(words.end(), {"nosuid", "nodev"});
      if (op.readonly) words.emplace_back("ro");
      if (op.scratch) {
        out_.extras.mounts.emplace_back();
        out_.extras.mounts.back().index = out_.config.mounts.size();
        out_.extras.mounts.back().scratch_layers = true;
      }
      mount(op, {op.destination, "overlay", "overlay", std::move(words), {}, {}});
      return {};
    }
  }
  entry(std::move(made));
  return {};
}

// Everything below the source comes along, with the same restrictions.
std::vector<std::string> Builder::bind_options(const FileOperation& op) const {
  std::vector<std::string> out{"rbind", "rnosuid"};
  if (!op.devices) out.emplace_back("rnodev");
  if (op.readonly) out.emplace_back("rro");
  return out;
}

Status Builder::bind(const FileOperation& op) {
  mount(op, {op.destination, "bind", absolute(op.source), bind_options(op), {}, {}});
  return {};
}

std::vector<std::string> Builder::overlay_options(const FileOperation& op) const {
  std::string lower;
  // The kernel takes the highest first.
  for (auto layer = op.layers.rbegin(); layer != op.layers.rend(); ++layer)
    lower += (lower.empty() ? "" : ":") + overlay_path(absolute(*layer), true);
  std::vector<std::string> out{"lowerdir=" + lower};
  if (!op.source.empty()) {
    out.push_back("upperdir=" + overlay_path(absolute(op.source), false));
    out.push_back("workdir=" + overlay_path(absolute(op.work), false));
  }
  // What a user namespace may keep beside files (kernel 5.11).
  if (new_user_) out.emplace_back("userxattr");
  return out;
}

// What root outside could reach through it is read-only or hidden, as in a container. A user without privileges gets it
// as it is, or could not mount another one in a sandbox within.
void Builder::process_files(const FileOperation& op) {
  mount(op, {op.destination, "proc", "proc", {"nosuid", "noexec", "nodev"}, {}, {}});
  if (!host_.privileged) return;
  const std::string place = container::rules::clean_path(op.destination);
  const auto add = [&](const std::vector<std::string>& paths, std::vector<std::string>& to) {
    constexpr std::string_view kProc = "/proc/";
    for (const std::string& path : paths) {
      if (path.starts_with(kProc)) to.push_back(below(place, std::string_view(path).substr(kProc.size())));
    }
  };
  add(oci::default_readonly_paths(), out_.config.linux->readonly_paths);
  add(oci::default_masked_paths(), out_.config.linux->masked_paths);
}

void Builder::device_files(const FileOperation& op) {
  const std::string place = container::rules::clean_path(op.destination);
  mount(op, {place, "tmpfs", "tmpfs", {"nosuid", "mode=0755"}, {}, {}});
  for (const char* name : {"null", "zero", "full", "random", "urandom", "tty"})
    mount(op, {below(place, name), "bind", below("/dev", name), {"bind", "nosuid", "noexec"}, {}, {}});
  mount(op, {below(place, "pts"),
             "devpts",
             "devpts",
             {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"},
             {},
             {}});
  const auto link = [&](const char* name, const char* target) {
    RootEntry made;
    made.kind = RootEntry::Kind::kSymlink;
    made.path = below(place, name);
    made.target = target;
    entry(std::move(made));
  };
  link("fd", "/proc/self/fd");
  link("stdin", "/proc/self/fd/0");
  link("stdout", "/proc/self/fd/1");
  link("stderr", "/proc/self/fd/2");
  link("core", "/proc/kcore");
  link("ptmx", "pts/ptmx");
  RootEntry shm;
  shm.path = below(place, "shm");
  shm.mode = 01777;
  entry(std::move(shm));
}

// ---- the process ----

void Builder::process(const std::vector<std::string>& command) {
  oci::Process& process = out_.config.process.emplace();
  process.args = command;
  process.terminal = options_.terminal;
  process.user.uid = uid_;
  process.user.gid = gid_;
  process.cwd = "/";
  process.no_new_privileges = true;
  process.rlimits = options_.rlimits;
  const std::vector<std::string> granted = capabilities();
  process.capabilities = oci::Capabilities{granted, granted, granted, granted, granted};
  environment();
  if (!options_.working_directory.empty()) {
    out_.extras.working_directories = {options_.working_directory};
    return;
  }
  out_.extras.working_directories = {host_.working_directory};
  for (const std::string& variable : process.env) {
    if (variable.starts_with("HOME=/")) out_.extras.working_directories.push_back(variable.substr(5));
  }
  out_.extras.working_directories.emplace_back("/");
}

void Builder::environment() {
  std::vector<std::string>& env = out_.config.process->env;
  env = host_.environment;
  for (const EnvironmentChange& change : options_.environment) {
    if (change.kind == EnvironmentChange::Kind::kClear) {
      std::erase_if(env, [](const std::string& variable) { return !variable.starts_with("PWD="); });
      continue;
    }
    std::erase_if(env, [&](const std::string& variable) { return variable.starts_with(change.name + "="); });
    if (change.kind == EnvironmentChange::Kind::kSet) env.push_back(change.name + "=" + change.value);
  }
}

// Root keeps what it has, everybody else starts with none.
std::vector<std::string> Builder::capabilities() const {
  std::vector<std::string> out;
  if (host_.privileged && uid_ == 0) out = host_.capabilities;
  for (const CapabilityChange& change : options_.capabilities) {
    if (change.name == "ALL") {
      out = change.add ? (new_user_ ? host_.all_capabilities : host_.capabilities) : std::vector<std::string>();
      continue;
    }
    std::erase(out, change.name);
    if (change.add) out.push_back(change.name);
  }
  return out;
}

void Builder::limits() {
  oci::Resources resources;
  if (options_.memory_bytes) resources.memory.emplace().limit = options_.memory_bytes;
  if (options_.cpu_quota_us) {
    resources.cpu.emplace().quota = options_.cpu_quota_us;
    resources.cpu->period = kCpuPeriodUs;
  }
  resources.pids_limit = options_.pids;
  // Who binds device nodes to use them may use them.
  const bool devices = std::ranges::any_of(
      options_.operations, [](const FileOperation& op) { return op.kind == Kind::kBind && op.devices; });
  if (devices) resources.devices.push_back({true, "a", {}, {}, "rwm"});
  out_.config.linux->resources = std::move(resources);
}

}  // namespace

Result<Sandbox> make_sandbox(const SandboxOptions& options, const std::vector<std::string>& command,
                             const SandboxHost& host) {
  return Builder(options, host).build(command);
}

std::string overlay_path(std::string_view path, bool in_list) {
  std::string out;
  for (const char c : path) {
    if (c == '\\' || c == ',' || (in_list && c == ':')) out += '\\';
    out += c;
  }
  return out;
}

Error in_words_of(Error error, const Sandbox& sandbox) {
  constexpr std::string_view kDocument = "config.json: ";
  constexpr std::string_view kMounts = "/mounts/";
  const std::string message = error.message();
  if (!std::string_view(message).starts_with(kDocument)) return error;
  std::string rest = message.substr(kDocument.size());
  if (rest.starts_with(kMounts)) {
    const auto index = parse_number<std::size_t>(std::string_view(rest).substr(
        kMounts.size(), rest.find_first_not_of("0123456789", kMounts.size()) - kMounts.size()));
    const auto colon = rest.find(": ");
    if (index && *index < sandbox.words.size() && colon != std::string::npos)
      rest = sandbox.words[*index] + rest.substr(colon);
  }
  return Error(error.code(), std::move(rest), error.errno_value())
      .with_hint(std::string(error.hint()))
      .with_step(error.step());
}

}  // namespace cooper::cli::coop
