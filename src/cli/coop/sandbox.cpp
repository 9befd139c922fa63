// sandbox: a program in namespaces of its own and a root file system made of words, without a bundle.
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <tuple>

#include "base/strings.h"
#include "cli/coop/commands.h"
#include "cli/coop/sandbox_config.h"
#include "cli/coop/sandbox_options.h"
#include "container/seal_exe.h"
#include "io/file.h"
#include "sys/cred.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/tables.h"

namespace cooper::cli::coop {
namespace {

constexpr std::size_t kMaxArguments = std::size_t{4} << 20;
constexpr std::size_t kMaxFilter = std::size_t{64} << 10;
constexpr int kSysAdmin = 21;

std::vector<std::string> names_of(std::uint64_t mask) {
  std::vector<std::string> out;
  const auto names = sys::capability_names();
  for (std::size_t i = 0; i < names.size(); ++i) {
    if ((mask >> i & 1) != 0) out.emplace_back(names[i]);
  }
  return out;
}

std::string resolve(const std::string& path) {
  char buffer[PATH_MAX];
  return ::realpath(path.c_str(), buffer) != nullptr ? std::string(buffer) : path;
}

int look(const std::string& path) {
  struct stat info = {};
  return ::stat(path.c_str(), &info) == 0 ? 0 : errno;
}

Result<SandboxHost> look_at_host() {
  SandboxHost out;
  out.uid = ::geteuid();
  out.gid = ::getegid();
  ASSIGN_OR_RETURN(const sys::CapSets caps, sys::capget());
  out.privileged = (caps.effective >> kSysAdmin & 1) != 0;
  out.capabilities = names_of(caps.permitted);
  out.all_capabilities = names_of((std::uint64_t{2} << sys::last_cap()) - 1);
  auto directory = absolute_path(".");
  if (!directory.ok()) return std::move(directory).error();
  out.working_directory = std::move(directory).value();
  for (char** variable = environ; *variable != nullptr; ++variable) out.environment.emplace_back(*variable);
  out.has_user_namespaces = ::access("/proc/self/ns/user", F_OK) == 0;
  out.has_cgroup_namespaces = ::access("/proc/self/ns/cgroup", F_OK) == 0;
  out.look = look;
  out.resolve = resolve;
  return out;
}

Result<std::string> random_id() {
  std::array<char, 8> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    return Error::from_errno(errno, "choose an id");
  return "sandbox-" + hex_encode(std::string_view(bytes.data(), bytes.size()));
}

Status read_filter(const SandboxOptions& options, container::Extras& extras) {
  if (!options.seccomp_fd) return {};
  auto bytes = io::read_all(BorrowedFd(*options.seccomp_fd), kMaxFilter);
  if (!bytes.ok()) return std::move(bytes).error().with("--seccomp " + std::to_string(*options.seccomp_fd));
  if (bytes->empty())
    return Error(Errc::kInvalidArgument, "--seccomp " + std::to_string(*options.seccomp_fd) + ": there is no filter")
        .with_hint("it takes a compiled one, as seccomp_export_bpf(3) writes it");
  extras.seccomp_filter = std::move(bytes).value();
  return {};
}

// Who the caller is in these user namespaces, each below the one before.
Result<std::pair<uid_t, gid_t>> caller_in(const std::vector<std::pair<const char*, int>>& namespaces) {
  ASSIGN_OR_RETURN(sys::Pipe pipe, sys::pipe2());
  ASSIGN_OR_RETURN(const sys::Cloned child, sys::clone3(0));
  struct Answer {
    std::size_t failed = 0;
    int error = 0;
    uid_t uid = 0;
    gid_t gid = 0;
  };
  if (child.pid == 0) {
    Answer answer;
    for (const auto& [flag, fd] : namespaces) {
      answer.error = ::setns(fd, CLONE_NEWUSER) == 0 ? 0 : errno;
      if (answer.error != 0) break;
      ++answer.failed;
    }
    answer.uid = ::geteuid();
    answer.gid = ::getegid();
    const bool told = ::write(pipe.write.get(), &answer, sizeof answer) == static_cast<ssize_t>(sizeof answer);
    ::_exit(told ? 0 : 1);
  }
  pipe.write.reset();
  ASSIGN_OR_RETURN(const std::string bytes, io::read_all(pipe.read, sizeof(Answer)));
  (void)!sys::waitpid(child.pid).ok();
  Answer answer;
  if (bytes.size() != sizeof answer) return Error(Errc::kSystem, "look into a user namespace: no answer");
  std::memcpy(&answer, bytes.data(), sizeof answer);
  if (answer.error == 0) return std::pair(answer.uid, answer.gid);
  const auto& [flag, fd] = namespaces[answer.failed];
  Error wrong = Error::from_errno(answer.error, std::string(flag) + " " + std::to_string(fd));
  if (answer.error != EINVAL) return wrong;
  return std::move(wrong).with_hint("the descriptor must be a user namespace, and not the one coop is in");
}

// The command is whoever the caller is there.
Status look_into_namespaces(const SandboxOptions& options, SandboxHost& host) {
  std::vector<std::pair<const char*, int>> namespaces;
  if (options.userns_fd) namespaces.emplace_back("--userns", *options.userns_fd);
  if (options.userns2_fd) namespaces.emplace_back("--userns2", *options.userns2_fd);
  if (namespaces.empty()) return {};
  ASSIGN_OR_RETURN(const auto ids, caller_in(namespaces));
  std::tie(host.uid, host.gid) = ids;
  return {};
}

// The files that make it up are read later, by the init, from descriptors that stay open until then.
Result<Sandbox> read_sandbox(const Call& call, SandboxHost& host, SandboxOptions& options) {
  // Starting again from a copy must come before anything is read that can be read once.
  if (host.privileged && reads_descriptors(call.arguments)) RETURN_IF_ERROR(container::seal_executable_copy());
  SandboxQuestions questions;
  questions.read = [](int fd) { return io::read_all(BorrowedFd(fd), kMaxArguments); };
  questions.is_open = is_open_for_us;
  ASSIGN_OR_RETURN(options, parse_sandbox(call.arguments, sandbox_flags(), questions));
  RETURN_IF_ERROR(look_into_namespaces(options, host));
  ASSIGN_OR_RETURN(Sandbox out, make_sandbox(options, call.arguments.positional(), host));
  // Process 1 is this program: who may trace it could open its executable.
  if (container::may_open_executables(out.config)) RETURN_IF_ERROR(container::seal_executable_copy());
  RETURN_IF_ERROR(read_filter(options, out.extras));
  return out;
}

Result<container::CreateOptions> start_options(const Call& call, const SandboxOptions& options, const SandboxHost& host,
                                               const Sandbox& sandbox) {
  std::string id = options.id;
  if (id.empty()) {
    ASSIGN_OR_RETURN(id, random_id());
  }
  ASSIGN_OR_RETURN(auto out, create_options(call, id, host.working_directory));
  out.detach_start = false;
  out.sandbox = true;
  out.root_override = sandbox.root;
  out.extras = sandbox.extras;
  out.block_signals = sandbox.extras.init;
  out.require_limits = options.limits_group();
  return out;
}

}  // namespace

Result<int> run_sandbox(const Call& call) {
  ASSIGN_OR_RETURN(SandboxHost host, look_at_host());
  SandboxOptions options;
  ASSIGN_OR_RETURN(Sandbox sandbox, read_sandbox(call, host, options));
  RETURN_IF_ERROR(check_console(options.terminal, false, false));
  ASSIGN_OR_RETURN(auto start, start_options(call, options, host, sandbox));
  if (call.arguments.has("dry-run")) {
    auto printed = print_plan(call, sandbox.config, start, call.arguments.value("dry-run"));
    return printed.ok() ? std::move(printed) : Result<int>(in_words_of(std::move(printed).error(), sandbox));
  }
  Foreground foreground;
  foreground.die_with_parent = options.die_with_parent;
  ASSIGN_OR_RETURN(foreground.limit, time_limit(call.arguments));
  ASSIGN_OR_RETURN(foreground.control, ControlFds::open(call.arguments, start.preserve_fds));
  if (const int sync = foreground.control.sync(); sync >= 0)
    (start.extras->init ? start.extras->held_fds : start.private_fds).push_back(sync);
  const bool somebody_else = sandbox.extras.inner_user || options.userns_fd || options.userns2_fd;
  if (host.privileged && !somebody_else) give_pipes_to(*sandbox.config.process, sandbox.config);
  auto status = run_in_foreground(call, sandbox.config, std::move(start), std::move(foreground));
  return status.ok() ? std::move(status) : Result<int>(in_words_of(std::move(status).error(), sandbox));
}

}  // namespace cooper::cli::coop
