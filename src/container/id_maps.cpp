// User and group mappings of a new user namespace. The kernel takes any from whoever has CAP_SETUID over the parent
// namespace, and from everybody else only their own id; wider ones are written by newuidmap(1) and newgidmap(1), which
// check /etc/subuid and /etc/subgid.
#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "container/internal.h"
#include "container/namespace_root.h"
#include "io/file.h"
#include "spec/oci_runtime/id_maps.h"
#include "sys/cred.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cooper::container {
namespace {

constexpr std::size_t kMaxHelperOutput = 4096;
constexpr std::size_t kMaxMapText = 4096;  // a page

// newuidmap PID INSIDE OUTSIDE COUNT ...
Status run_helper(const std::string& program, pid_t pid, const std::vector<oci::IdMapping>& mappings) {
  std::vector<std::string> words{program, std::to_string(pid)};
  for (const oci::IdMapping& m : mappings) {
    for (const std::uint32_t n : {m.container_id, m.host_id, m.size}) words.push_back(std::to_string(n));
  }
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  ASSIGN_OR_RETURN(sys::Pipe pipe, sys::pipe2());
  posix_spawn_file_actions_t actions;
  (void)::posix_spawn_file_actions_init(&actions);
  const ScopeExit destroy([&] { (void)::posix_spawn_file_actions_destroy(&actions); });
  (void)::posix_spawn_file_actions_adddup2(&actions, pipe.write.get(), STDOUT_FILENO);
  (void)::posix_spawn_file_actions_adddup2(&actions, pipe.write.get(), STDERR_FILENO);
  pid_t child = 0;
  if (const int failed = ::posix_spawnp(&child, program.c_str(), &actions, nullptr, argv.data(), environ);
      failed != 0) {
    return Error::from_errno(failed, "run " + program)
        .with_hint("a user without privileges needs it to map more than one id: install the package 'uidmap'");
  }
  pipe.write.reset();
  const std::string words_of_it = io::read_all(pipe.read, kMaxHelperOutput).value_or("");
  ASSIGN_OR_RETURN(const sys::ExitStatus status, sys::waitpid(child));
  if (status.shell_code() == 0) return {};
  return Error(Errc::kPermission, program + " refuses the mapping: " + std::string(trim(words_of_it)), EPERM)
      .with_hint("the ranges a user may map are in /etc/subuid and /etc/subgid");
}

Status write_map(pid_t pid, const char* file, const char* helper, const std::vector<oci::IdMapping>& mappings) {
  const std::string text = oci::id_map_text(mappings);
  const Status written = io::write_existing(sys::kCwd, "/proc/" + std::to_string(pid) + "/" + file, text);
  if (written.ok()) return {};
  const int e = written.error().errno_value();
  if (e == EPERM && ::geteuid() != 0) return run_helper(helper, pid, mappings);
  Error error = Error::from_errno(e, "write " + std::to_string(mappings.size()) + " ranges to '" + file + "'");
  if (e != EINVAL || text.size() < kMaxMapText) return error;
  return std::move(error).with_hint("the kernel takes at most 340 ranges, and no more than 4095 bytes of text");
}

bool only_own(const std::vector<oci::IdMapping>& mappings, std::uint32_t id) {
  return mappings.size() == 1 && mappings[0].size == 1 && mappings[0].host_id == id;
}

// The first id of a map of the caller's own.
Result<std::uint32_t> first_mapped(const std::string& file) {
  ASSIGN_OR_RETURN(const std::string text, io::read_file(file, kMaxHelperOutput));
  if (const auto mappings = oci::parse_id_map(text); !mappings.empty()) return mappings.front().container_id;
  return Error(Errc::kSystem, quoted(file) + " maps nothing", EINVAL);
}

// EINVAL: it has no number in this namespace.
bool unmapped(const Status& status) {
  return !status.ok() && status.error().errno_value() == EINVAL;
}

}  // namespace

Status become_namespace_root() {
  Status group = sys::setresgid(0);
  if (unmapped(group)) {
    ASSIGN_OR_RETURN(const gid_t first, first_mapped("/proc/self/gid_map"));
    group = sys::setresgid(first);
  }
  RETURN_IF_ERROR(std::move(group));
  Status user = sys::setresuid(0);
  if (!unmapped(user)) return user;
  ASSIGN_OR_RETURN(const uid_t first, first_mapped("/proc/self/uid_map"));
  return sys::setresuid(first);
}

Status become_zero() {
  if (Status group = sys::setresgid(0); !group.ok() && !unmapped(group)) return group;
  Status user = sys::setresuid(0);
  return unmapped(user) ? Status() : std::move(user);
}

bool may_set_groups() {
  if (::geteuid() != 0) return false;
  const auto word = io::read_file("/proc/self/setgroups", 64);
  return word.ok() && trim(*word) == "allow";
}

Status write_id_maps(pid_t pid, const std::vector<oci::IdMapping>& uid, const std::vector<oci::IdMapping>& gid) {
  if (::geteuid() != 0 && only_own(gid, ::getegid())) {
    // One's own group may be mapped only after giving up setgroups (user_namespaces(7)).
    RETURN_IF_ERROR(io::write_existing(sys::kCwd, "/proc/" + std::to_string(pid) + "/setgroups", "deny"));
  }
  if (Status done = write_map(pid, "uid_map", "newuidmap", uid); !done.ok())
    return std::move(done).error().with("uid mappings");
  if (Status done = write_map(pid, "gid_map", "newgidmap", gid); !done.ok())
    return std::move(done).error().with("gid mappings");
  return {};
}

}  // namespace cooper::container
