#include "userns/maps.h"

#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "io/file.h"
#include "spec/oci_runtime/id_maps.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cooper::userns {
namespace {

namespace oci = spec::oci_runtime;

constexpr std::size_t kMaxFile = std::size_t{1} << 20;

bool in_path(const std::string& program) {
  const char* path = ::secure_getenv("PATH");
  for (const std::string_view directory : split(path == nullptr ? "/usr/bin:/bin" : path, ':')) {
    if (!directory.empty() && ::access((std::string(directory) + "/" + program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

// Empty: it cannot be read.
std::string text_of(const std::string& file) {
  return io::read_file(file, kMaxFile).value_or("");
}

std::string own_name(const std::string& passwd, uid_t uid) {
  for (const std::string_view line : split(passwd, '\n')) {
    const auto parts = split(line, ':');
    if (parts.size() >= 3 && parse_number<uid_t>(parts[2]) == uid) return std::string(parts[0]);
  }
  return {};
}

std::vector<oci::IdRange> ranges_of(const std::string& text, const std::string& name, uid_t uid) {
  std::vector<oci::IdRange> out;
  if (!name.empty()) out = oci::parse_subids(text, name);
  return out.empty() ? oci::parse_subids(text, std::to_string(uid)) : out;
}

bool overlap(const oci::IdMapping& one, const oci::IdRange& other) {
  return one.host_id < std::uint64_t{other.first} + other.count && other.first < std::uint64_t{one.host_id} + one.size;
}

std::vector<oci::IdMapping> own_and(std::uint32_t own, const std::vector<oci::IdRange>& ranges) {
  std::vector<oci::IdMapping> out{{0, own, 1}};
  std::uint64_t next = 1;
  for (const oci::IdRange& range : ranges) {
    if (next + range.count > UINT32_MAX) break;
    // The kernel takes no id twice, and files may name one twice.
    if (std::ranges::any_of(out, [&](const oci::IdMapping& one) { return overlap(one, range); })) continue;
    out.push_back({static_cast<std::uint32_t>(next), range.first, range.count});
    next += range.count;
  }
  return out;
}

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
      .with_hint(
          "the ranges a user may map are in /etc/subuid and /etc/subgid; where no_new_privs is set, or it is not "
          "setuid, it "
          "can map none");
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

}  // namespace

Maps maps_of(const Accounts& accounts, uid_t uid, gid_t gid) {
  const std::string name = own_name(accounts.passwd, uid);
  const auto users = ranges_of(accounts.subuid, name, uid);
  const auto groups = ranges_of(accounts.subgid, name, uid);
  const bool alone = users.empty() || groups.empty();
  return {.uids = own_and(uid, alone ? std::vector<oci::IdRange>() : users),
          .gids = own_and(gid, alone ? std::vector<oci::IdRange>() : groups)};
}

Maps own_maps(uid_t uid, gid_t gid) {
  Accounts accounts;
  if (in_path("newuidmap") && in_path("newgidmap")) {
    // passwd(5) alone: name services need libraries that a static program does not have.
    accounts = {.passwd = text_of("/etc/passwd"), .subuid = text_of("/etc/subuid"), .subgid = text_of("/etc/subgid")};
  }
  return maps_of(accounts, uid, gid);
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

}  // namespace cooper::userns
