#include "container/hooks.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/strings.h"
#include "container/child_program.h"
#include "log/log.h"
#include "spec/libcontainer/print.h"
#include "spec/oci_runtime/print.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cooper::container {
namespace {

// The state in a memfd: no pipe that a hook which reads nothing could block.
Result<UniqueFd> state_input(std::string_view state_json) {
  ASSIGN_OR_RETURN(UniqueFd fd, sys::memfd_create("state", 0));
  RETURN_IF_ERROR(sys::write_all(fd, state_json));
  if (::lseek(fd.get(), 0, SEEK_SET) != 0) return Error::from_errno(errno, "rewind the state document");
  return fd;
}

// The hook leads its own process group.
void end_hook(pid_t pid) {
  (void)::kill(-pid, SIGKILL);
  (void)::kill(pid, SIGKILL);
  (void)!sys::waitpid(pid).ok();
}

Result<bool> ends_in_time(pid_t pid, std::int64_t timeout_s) {
  ASSIGN_OR_RETURN(const UniqueFd pidfd, sys::pidfd_open(pid));
  return sys::pidfd_wait(pidfd, static_cast<int>(std::min<std::int64_t>(timeout_s, 2000000) * 1000));
}

Status run_hook(const oci::Hook& hook, std::string_view state_json, const std::vector<std::string>* env) {
  ASSIGN_OR_RETURN(const UniqueFd input, state_input(state_json));
  ASSIGN_OR_RETURN(const UniqueFd said, sys::memfd_create("hook-output", 0));
  if (::fcntl(said.get(), F_SETFL, O_APPEND) != 0)
    return Error::from_errno(errno, "make a file for what the hook says");
  ASSIGN_OR_RETURN(const pid_t pid,
                   spawn_program({.path = hook.path,
                                  .args = hook.args.empty() ? std::vector<std::string>{hook.path} : hook.args,
                                  .env = hook.env.empty() ? env : &hook.env,
                                  .input = input,
                                  .output = said,
                                  .errors = said,
                                  .own_group = true}));
  if (hook.timeout_s) {
    auto ended = ends_in_time(pid, *hook.timeout_s);
    if (!ended.ok() || !*ended) end_hook(pid);
    if (!ended.ok()) return std::move(ended).error();
    if (!*ended) return Error(Errc::kTimeout, "did not end within " + std::to_string(*hook.timeout_s) + " s");
  }
  ASSIGN_OR_RETURN(const sys::ExitStatus status, sys::waitpid(pid));
  // All of it goes to the caller's standard error: his standard output is the container's.
  if (const off_t size = ::lseek(said.get(), 0, SEEK_END); size > 0) {
    std::string words(static_cast<std::size_t>(std::min<off_t>(size, 65536)), '\0');
    if (auto n = sys::pread(said, std::span(words.data(), words.size()), 0); n.ok())
      (void)!sys::write_all(BorrowedFd(2), words.substr(0, *n)).ok();
  }
  return program_result(status, said);
}

}  // namespace

std::string hook_input(const oci::State& state) {
  const auto root = state.annotations.find(kHookStateRoot);
  if (root == state.annotations.end()) return oci::print_state(state);
  const auto version = state.annotations.find(kHookStateVersion);
  return libcontainer::print_hook_state(
      {version == state.annotations.end() ? std::string() : version->second, state.id, state.pid, root->second});
}

bool is_hook_failure(const Error& error, std::string_view kind) {
  return error.message().starts_with(std::string(kind) + " hook #");
}

namespace {

Status run_numbered(std::string_view kind, const std::vector<oci::Hook>& hooks, std::size_t number,
                    std::string_view state_json, const std::vector<std::string>* env) {
  Status done = run_hook(hooks[number], state_json, env);
  if (done.ok()) return done;
  return std::move(done).error().with(std::string(kind) + " hook #" + std::to_string(number) + " " +
                                      quoted(hooks[number].path));
}

}  // namespace

void run_each_hook(std::string_view kind, const std::vector<oci::Hook>& hooks, std::string_view state_json) {
  for (std::size_t i = 0; i < hooks.size(); ++i) {
    if (Status done = run_numbered(kind, hooks, i, state_json, nullptr); !done.ok())
      log::warning(done.error().message());
  }
}

Status run_hooks(std::string_view kind, const std::vector<oci::Hook>& hooks, std::string_view state_json,
                 const std::vector<std::string>* env) {
  for (std::size_t i = 0; i < hooks.size(); ++i) {
    RETURN_IF_ERROR(run_numbered(kind, hooks, i, state_json, env));
  }
  return {};
}

}  // namespace cooper::container
