#include "container/child_program.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include <span>
#include <string_view>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "sys/file.h"
#include "sys/tables.h"

namespace cooper::container {
namespace {

std::string last_line(BorrowedFd output) {
  std::string text(2048, '\0');
  const off_t size = ::lseek(output.get(), 0, SEEK_END);
  const auto n = sys::pread(output, std::span(text.data(), text.size()), size > 2048 ? size - 2048 : 0);
  if (!n.ok()) return {};
  text.resize(*n);
  std::string_view view = trim(text);
  if (const auto newline = view.rfind('\n'); newline != std::string_view::npos) view = view.substr(newline + 1);
  return std::string(view);
}

// For execve(2): the texts, which must outlive the result, and a null pointer at the end.
std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

}  // namespace

Result<pid_t> spawn_program(const ChildProgram& program) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  (void)::posix_spawn_file_actions_init(&actions);
  (void)::posix_spawnattr_init(&attributes);
  const ScopeExit release([&] {
    (void)::posix_spawn_file_actions_destroy(&actions);
    (void)::posix_spawnattr_destroy(&attributes);
  });
  if (program.input.valid()) {
    (void)::posix_spawn_file_actions_adddup2(&actions, program.input.get(), STDIN_FILENO);
  } else {
    (void)::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  }
  if (program.output.valid()) (void)::posix_spawn_file_actions_adddup2(&actions, program.output.get(), STDOUT_FILENO);
  if (program.errors.valid()) (void)::posix_spawn_file_actions_adddup2(&actions, program.errors.get(), STDERR_FILENO);
  (void)::posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  if (!program.dir.empty()) (void)::posix_spawn_file_actions_addchdir_np(&actions, program.dir.c_str());
  sigset_t none;
  sigset_t all;
  (void)::sigemptyset(&none);
  (void)::sigfillset(&all);
  (void)::posix_spawnattr_setsigmask(&attributes, &none);
  (void)::posix_spawnattr_setsigdefault(&attributes, &all);
  const int group = program.own_group ? POSIX_SPAWN_SETPGROUP : 0;
  (void)::posix_spawnattr_setflags(&attributes,
                                   static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | group));
  auto argv = pointers(program.args);
  auto own = program.env == nullptr ? std::vector<char*>() : pointers(*program.env);
  const auto start = program.search_path ? ::posix_spawnp : ::posix_spawn;
  pid_t pid = 0;
  const int error = start(&pid, program.path.c_str(), &actions, &attributes, argv.data(),
                          program.env == nullptr ? environ : own.data());
  if (error != 0) return Error::from_errno(error, "run");
  return pid;
}

Status program_result(const sys::ExitStatus& status, BorrowedFd output) {
  if (status.signal == 0 && status.code == 0) return {};
  const std::string how = status.signal != 0 ? "was killed by " + sys::signal_name(status.signal)
                                             : "ended with exit status " + std::to_string(status.code);
  const std::string words = last_line(output);
  return Error(Errc::kSystem, how + (words.empty() ? "" : ", saying " + quoted(words)));
}

}  // namespace cooper::container
