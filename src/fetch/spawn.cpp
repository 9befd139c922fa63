#include "fetch/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>

#include <algorithm>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "sys/file.h"

namespace cooper::fetch {
namespace {

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  for (std::string& word : words) out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

// Those of whoever has started us are not close-on-exec. An errno, or 0.
int close_others(posix_spawn_file_actions_t& actions, const Spawn& request, int lowest) {
  for (int number = 3; number < lowest; ++number) {
    const bool named =
        std::ranges::find(request.descriptors, number, &std::pair<int, int>::second) != request.descriptors.end();
    if (named) continue;
    // One that is not open is no error.
    if (const int e = ::posix_spawn_file_actions_addclose(&actions, number); e != 0) return e;
  }
  return ::posix_spawn_file_actions_addclosefrom_np(&actions, lowest);
}

}  // namespace

Result<pid_t> spawn(const Spawn& request) {
  std::vector<std::string> args = request.args;
  args.insert(args.begin(), request.program);
  std::vector<std::string> env = request.env;
  // Above every number they shall have: no copy overwrites one that is still needed.
  int lowest = 3;
  for (const auto& [ours, theirs] : request.descriptors) lowest = std::max(lowest, theirs + 1);
  std::vector<UniqueFd> high;
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  if (const int e = ::posix_spawn_file_actions_init(&actions); e != 0) return Error::from_errno(e, "start a program");
  const ScopeExit drop_actions([&] { (void)::posix_spawn_file_actions_destroy(&actions); });
  if (const int e = ::posix_spawnattr_init(&attributes); e != 0) return Error::from_errno(e, "start a program");
  const ScopeExit drop_attributes([&] { (void)::posix_spawnattr_destroy(&attributes); });
  for (const auto& [ours, theirs] : request.descriptors) {
    ASSIGN_OR_RETURN(UniqueFd copy, sys::dup_cloexec(BorrowedFd(ours), lowest));
    if (const int e = ::posix_spawn_file_actions_adddup2(&actions, copy.get(), theirs); e != 0)
      return Error::from_errno(e, "start a program");
    high.push_back(std::move(copy));
  }
  if (const int e = close_others(actions, request, lowest); e != 0) return Error::from_errno(e, "start a program");
  sigset_t all;
  sigset_t none;
  (void)::sigfillset(&all);
  (void)::sigemptyset(&none);
  (void)::posix_spawnattr_setsigdefault(&attributes, &all);
  (void)::posix_spawnattr_setsigmask(&attributes, &none);
  int flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
  if (request.own_session) flags |= POSIX_SPAWN_SETSID;
  (void)::posix_spawnattr_setflags(&attributes, static_cast<short>(flags));
  pid_t pid = 0;
  const int failed =
      ::posix_spawnp(&pid, request.program.c_str(), &actions, &attributes, pointers(args).data(), pointers(env).data());
  if (failed != 0) return Error::from_errno(failed, "start " + quoted(request.program));
  return pid;
}

}  // namespace cooper::fetch
