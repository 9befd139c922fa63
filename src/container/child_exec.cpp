#include "container/child_exec.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "container/find_step.h"
#include "sys/cred.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/tables.h"

namespace cooper::container {
namespace {

constexpr std::string_view kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// struct sched_attr of linux/sched/types.h, which cannot be included beside glibc's <sched.h>.
struct SchedAttr {
  std::uint32_t size;
  std::uint32_t policy;
  std::uint64_t flags;
  std::int32_t nice;
  std::uint32_t priority;
  std::uint64_t runtime, deadline, period;
};
static_assert(sizeof(SchedAttr) == 48);  // SCHED_ATTR_SIZE_VER0

std::string_view environment_value(const std::vector<std::string>& env, std::string_view name) {
  std::string_view found;
  for (const std::string& entry : env) {
    if (entry.size() > name.size() && entry[name.size()] == '=' && entry.starts_with(name))
      found = std::string_view(entry).substr(name.size() + 1);
  }
  return found;
}

// 0: executable regular file; otherwise the errno that exec would give.
int check_executable(const std::string& path, const io::RootDir& root) {
  const auto fd = root.open_at(path, O_PATH);
  if (!fd.ok()) return fd.error().errno_value();
  const auto info = sys::fstat(*fd);
  if (!info.ok()) return info.error().errno_value();
  if (S_ISDIR(info->st_mode)) return EISDIR;
  if (!S_ISREG(info->st_mode) || (info->st_mode & 0111) == 0) return EACCES;
  return 0;
}

// Whether a file there would be the reason, and not the machine.
bool is_about_the_file(int error) {
  constexpr std::array kFile{ENOENT, ENOTDIR, EISDIR, EACCES, EPERM, ELOOP, ENAMETOOLONG, EXDEV, EINVAL, ENXIO};
  return std::ranges::find(kFile, error) != kFile.end();
}

Error exec_error(const std::string& name, int error) {
  if (!is_about_the_file(error)) return Error::from_errno(error, "exec " + quoted(name));
  const char* words = error == ENOENT || error == ENOTDIR ? "no such file or directory"
                      : error == EISDIR                   ? "permission denied: it is a directory"
                                                          : "permission denied";
  const Errc code = error == ENOENT || error == ENOTDIR ? Errc::kNotFound : Errc::kPermission;
  return Error(code, "exec " + quoted(name) + ": " + words, error);
}

// What an image may have in the place of the file is no reason to fail; what only happens to be impossible now is.
bool is_no_passwd(const Error& error) {
  constexpr std::array kImage{ENOENT, ENOTDIR, ELOOP, EACCES, ENXIO, EINVAL, EFBIG, ENAMETOOLONG, EXDEV};
  return std::ranges::find(kImage, error.errno_value()) != kImage.end();
}

Result<std::string> home_of(uid_t uid, const io::RootDir& root) {
  auto passwd = root.read_file("/etc/passwd", std::size_t{1} << 20);
  if (!passwd.ok() && !is_no_passwd(passwd.error()))
    return std::move(passwd).error().with("find the home directory of user " + std::to_string(uid));
  if (!passwd.ok()) return std::string("/");
  for (const std::string_view line : split(*passwd, '\n')) {
    const auto fields = split(line, ':');
    if (fields.size() >= 6 && parse_number<uid_t>(fields[2]) == uid && fields[5].starts_with('/'))
      return std::string(fields[5]);
  }
  return std::string("/");
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

struct PolicyName {
  std::string_view name;
  std::uint32_t policy;
};
constexpr std::array<PolicyName, 7> kPolicies{{{"SCHED_OTHER", SCHED_OTHER},
                                               {"SCHED_FIFO", SCHED_FIFO},
                                               {"SCHED_RR", SCHED_RR},
                                               {"SCHED_BATCH", SCHED_BATCH},
                                               {"SCHED_ISO", 4},
                                               {"SCHED_IDLE", SCHED_IDLE},
                                               {"SCHED_DEADLINE", 6}}};
constexpr std::array<PolicyName, 7> kPolicyFlags{{{"SCHED_FLAG_RESET_ON_FORK", 0x01},
                                                  {"SCHED_FLAG_RECLAIM", 0x02},
                                                  {"SCHED_FLAG_DL_OVERRUN", 0x04},
                                                  {"SCHED_FLAG_KEEP_POLICY", 0x08},
                                                  {"SCHED_FLAG_KEEP_PARAMS", 0x10},
                                                  {"SCHED_FLAG_UTIL_CLAMP_MIN", 0x20},
                                                  {"SCHED_FLAG_UTIL_CLAMP_MAX", 0x40}}};

std::optional<std::uint32_t> lookup(std::span<const PolicyName> table, std::string_view name) {
  const auto found = std::ranges::find(table, name, &PolicyName::name);
  if (found == table.end()) return std::nullopt;
  return found->policy;
}

}  // namespace

Status apply_scheduler(const SetScheduler& step) {
  const auto policy = lookup(kPolicies, step.scheduler.policy);
  if (!policy) return Error(Errc::kInvalidArgument, "unknown scheduler policy " + quoted(step.scheduler.policy));
  SchedAttr attr = {};
  attr.size = sizeof attr;
  attr.policy = *policy;
  attr.nice = step.scheduler.nice;
  attr.priority = static_cast<std::uint32_t>(step.scheduler.priority);
  attr.runtime = step.scheduler.runtime;
  attr.deadline = step.scheduler.deadline;
  attr.period = step.scheduler.period;
  for (const std::string& flag : step.scheduler.flags) {
    const auto bit = lookup(kPolicyFlags, flag);
    if (!bit) return Error(Errc::kInvalidArgument, "unknown scheduler flag " + quoted(flag));
    attr.flags |= *bit;
  }
  if (::syscall(SYS_sched_setattr, 0, &attr, 0) != 0) {
    const int saved = errno;
    return Error::from_errno(saved, "set scheduler policy " + quoted(step.scheduler.policy));
  }
  return {};
}

Status ExecPreparation::open_labels(const Plan& plan) {
  if (const auto* keyring = find_step<NewKeyring>(plan); keyring != nullptr && !keyring->label.empty()) {
    ASSIGN_OR_RETURN(key_label_fd_, sys::openat(sys::kCwd, "/proc/self/attr/keycreate", O_WRONLY));
  }
  const SetLabels* labels = find_step<SetLabels>(plan);
  if (labels == nullptr) return {};
  if (!labels->selinux.empty()) {
    label_ = labels->selinux;
    ASSIGN_OR_RETURN(label_fd_, sys::openat(sys::kCwd, "/proc/self/attr/exec", O_WRONLY));
    return {};
  }
  if (labels->apparmor.empty()) return {};
  label_ = "exec " + labels->apparmor;
  auto fd = sys::openat(sys::kCwd, "/proc/self/attr/apparmor/exec", O_WRONLY);
  if (!fd.ok() && fd.error().errno_value() == ENOENT) fd = sys::openat(sys::kCwd, "/proc/self/attr/exec", O_WRONLY);
  if (!fd.ok()) return std::move(fd).error().with("apparmor profile " + quoted(labels->apparmor));
  label_fd_ = std::move(fd).value();
  return {};
}

Status ExecPreparation::find_executable(const Plan& plan, const io::RootDir& root) {
  const Exec* exec = find_step<Exec>(plan);
  const std::string& name = exec->args[0];
  const std::string& cwd = chosen_cwd_.empty() ? exec->cwd : chosen_cwd_;
  if (name.empty()) return Error(Errc::kNotFound, "exec \"\": executable file not found in $PATH", ENOENT);
  if (name.find('/') != std::string::npos) {
    // Relative names are relative to the working directory.
    const std::string path = name[0] == '/' ? name : cwd + "/" + name;
    if (const int error = check_executable(path, root); error != 0) return exec_error(name, error);
    executable_ = name;
    return {};
  }
  std::string_view search = environment_value(exec->env, "PATH");
  if (search.empty()) search = kDefaultPath;
  int refused = 0;
  int unknown = 0;  // why one of the directories could not tell
  for (const std::string_view directory : split(search, ':')) {
    std::string path = directory.empty()     ? cwd
                       : directory[0] == '/' ? std::string(directory)
                                             : cwd + "/" + std::string(directory);
    path += "/" + name;
    const int error = check_executable(path, root);
    if (error == 0) {
      executable_ = std::move(path);
      return {};
    }
    if (error == EACCES || error == EISDIR) refused = EACCES;
    if (!is_about_the_file(error)) unknown = error;
  }
  if (unknown != 0) return exec_error(name, unknown);
  if (refused != 0) return exec_error(name, refused);
  return Error(Errc::kNotFound, "exec " + quoted(name) + ": executable file not found in $PATH", ENOENT)
      .with_hint("PATH is " + quoted(search));
}

Status ExecPreparation::choose_cwd(const std::vector<std::string>& candidates, const io::RootDir& root) {
  for (const std::string& candidate : candidates) {
    const auto found = root.open_at(candidate, O_PATH | O_DIRECTORY);
    if (!found.ok()) continue;
    chosen_cwd_ = candidate;
    return {};
  }
  return Error(Errc::kNotFound, "working directory " + quoted(candidates.front()) + ": no such directory", ENOENT)
      .with_hint("name one that is in the root file system");
}

Status ExecPreparation::prepare_cwd(const Plan& plan, const io::RootDir& root) {
  if (const auto* step = find_step<PrepareCwd>(plan); step != nullptr && !step->candidates.empty())
    return choose_cwd(step->candidates, root);
  const Exec* exec = find_step<Exec>(plan);
  if (exec->cwd == "/" || exec->cwd.empty()) return {};
  // Only a missing directory is made; what is there but not reachable is for the last mile to judge as the user.
  const auto found = root.open_at(exec->cwd, O_PATH);
  if (found.ok()) {
    ASSIGN_OR_RETURN(const struct stat info, sys::fstat(*found));
    if (S_ISDIR(info.st_mode)) return {};
    return Error(Errc::kInvalidArgument, "working directory " + quoted(exec->cwd) + " is not a directory", ENOTDIR);
  }
  if (found.error().errno_value() != ENOENT) return {};
  auto made = root.make_directories(exec->cwd, 0755);
  if (!made.ok()) return std::move(made).error().with("working directory");
  return {};
}

Status ExecPreparation::set_rlimits(const SetRlimits& step) {
  rlimit_texts_.reserve(step.limits.size());  // pointed into
  for (const auto& [resource, values] : step.limits) {
    const auto& [soft, hard] = values;
    ASSIGN_OR_RETURN(const struct rlimit64 now, sys::get_rlimit(resource));
    std::string what = std::string(sys::rlimit_name(resource)) + " to " + std::to_string(hard) +
                       ": the hard limit here is " + std::to_string(now.rlim_max);
    rlimit_texts_.push_back(std::move(what));
    rlimits_.push_back({resource, {soft, hard}, rlimit_texts_.back().c_str()});
  }
  return {};
}

Result<BorrowedFd> ExecPreparation::lock_file(const std::string& path, const io::RootDir& root) {
  auto file = root.open_at(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!file.ok()) return std::move(file).error().with("lock " + quoted(path));
  struct flock lock = {};
  lock.l_type = F_RDLCK;
  lock.l_whence = SEEK_SET;
  if (::fcntl(file->get(), F_OFD_SETLK, &lock) != 0) {
    const int saved = errno;
    if (saved == EAGAIN || saved == EACCES)
      return Error(Errc::kBusy, "lock " + quoted(path) + ": another process has it locked for writing", saved);
    return Error::from_errno(saved, "lock " + quoted(path));
  }
  locks_.push_back(std::move(file).value());
  return locks_.back().borrow();
}

std::vector<int> ExecPreparation::held(std::vector<int> more) const {
  for (const UniqueFd& lock : locks_) more.push_back(lock.get());
  return more;
}

Status ExecPreparation::set_credentials(const SetCredentials& step) {
  credentials_ = step;
  return {};
}

Result<ExecPlan> ExecPreparation::finish(const Exec& step, const io::RootDir& root) {
  args_ = step.args;
  env_ = step.env;
  cwd_ = step.cwd.empty() ? "/" : step.cwd;
  if (!chosen_cwd_.empty()) {
    cwd_ = chosen_cwd_;
    std::erase_if(env_, [](const std::string& entry) { return entry.starts_with("PWD="); });
    env_.push_back("PWD=" + cwd_);
  }
  if (environment_value(env_, "HOME").empty()) {
    ASSIGN_OR_RETURN(const std::string home, home_of(credentials_.uid, root));
    // An empty one before it would be the one that programs find.
    std::erase_if(env_, [](const std::string& entry) { return entry.starts_with("HOME="); });
    env_.push_back("HOME=" + home);
  }
  argv_ = pointers(args_);
  envp_ = pointers(env_);
  ExecPlan plan = {};
  plan.path = executable_.c_str();
  plan.argv = argv_.data();
  plan.envp = envp_.data();
  plan.cwd = cwd_.c_str();
  plan.rlimits = rlimits_.data();
  plan.rlimit_count = rlimits_.size();
  plan.label_fd = label_fd_.get();
  plan.landlock_fd = landlock_.get();
  plan.label = label_.data();
  plan.label_size = label_.size();
  plan.groups = credentials_.groups.data();
  plan.group_count = credentials_.groups.size();
  plan.set_groups = credentials_.set_groups;
  plan.uid = credentials_.uid;
  plan.gid = credentials_.gid;
  plan.umask = credentials_.umask;
  // No capabilities in the spec means none in the container.
  plan.has_capabilities = true;
  plan.last_cap = sys::last_cap();
  plan.bounding = credentials_.bounding;
  plan.effective = credentials_.effective;
  plan.permitted = credentials_.permitted;
  plan.inheritable = credentials_.inheritable;
  plan.ambient = credentials_.ambient;
  plan.no_new_privileges = credentials_.no_new_privileges;
  plan.init = step.init;
  if (seccomp_ != nullptr && !seccomp_->instructions.empty()) {
    plan.filter = seccomp_->instructions.data();
    plan.filter_count = static_cast<unsigned short>(seccomp_->instructions.size());
    plan.filter_flags = seccomp_->flags;
    plan.filter_listener = seccomp_->needs_listener;
  }
  return plan;
}

}  // namespace cooper::container
