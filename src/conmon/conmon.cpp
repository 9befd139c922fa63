#include "conmon/conmon.h"

#include <fcntl.h>
#include <syslog.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <span>
#include <string>

#include "base/strings.h"
#include "conmon/engine_pipes.h"
#include "conmon/supervisor.h"
#include "io/file.h"
#include "log/log.h"
#include "monitor/process_setup.h"
#include "sys/cred.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cooper::conmon {
namespace {

// What engines look at: they ask for some version of conmon at least.
constexpr std::string_view kCompatible = "2.1.12";
constexpr std::string_view kOomScore = "-1000";

void tell(const Error& error, bool syslog) {
  const std::string text = "conmon: " + log::sentence(error) + "\n";
  (void)!sys::write_all(BorrowedFd(STDERR_FILENO), text).ok();
  if (syslog) ::syslog(LOG_ERR, "%s", log::sentence(error).c_str());
}

int fail(const Error& error) {
  tell(error, false);
  return 1;
}

std::string working_directory() {
  std::array<char, 4096> out{};
  return ::getcwd(out.data(), out.size()) == nullptr ? "." : out.data();
}

// Descriptors beyond the standard streams that the engine left open for the runtime.
Result<std::vector<int>> inherited_descriptors() {
  ASSIGN_OR_RETURN(const UniqueFd directory, sys::openat(sys::kCwd, "/proc/self/fd", O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, sys::list_directory(directory));
  std::vector<int> out;
  for (const std::string& name : names) {
    const int fd = parse_number<int>(name).value_or(-1);
    if (fd > 2 && (::fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0) out.push_back(fd);
  }
  return out;
}

std::string take_variable(std::vector<std::string>& env, std::string_view name) {
  const std::string start = std::string(name) + "=";
  for (auto entry = env.begin(); entry != env.end(); ++entry) {
    if (!entry->starts_with(start)) continue;
    std::string value = entry->substr(start.size());
    env.erase(entry);
    return value;
  }
  return {};
}

// Out of the reach of the killer of processes when memory is short; what we start is as before. Without the right to
// that, nothing changes.
std::string lower_oom_score() {
  const auto before = io::read_file("/proc/self/oom_score_adj", 64);
  if (!before.ok() || !io::write_existing(sys::kCwd, "/proc/self/oom_score_adj", kOomScore).ok()) return {};
  return std::string(trim(*before));
}

Status write_pidfile(const Options& options, pid_t pid) {
  if (options.conmon_pidfile.empty()) return {};
  Status written = io::write_file_atomic(options.conmon_pidfile, std::to_string(pid), 0644);
  if (!written.ok()) return std::move(written).error().with("--conmon-pidfile");
  return {};
}

// The process that stays.
int monitor_container(const Options& options, EnginePipes pipes, Inherited inherited) {
  (void)::setsid();
  (void)!sys::set_child_subreaper(true).ok();
  auto loop = io::EventLoop::create();
  Status ready = loop.ok() ? Status() : Status(Error(loop.error().code(), loop.error().message()));
  if (ready.ok() && !options.passes_stdio_through()) ready = monitor::null_stdio(monitor::StdError::kNull);
  if (!ready.ok()) {
    pipes.report("data", -1, ready.error().message());
    return 1;
  }
  const auto supervisor =
      std::make_unique<Supervisor>(options, std::move(pipes), std::move(inherited), std::move(loop).value());
  const auto status = supervisor->run();
  if (status.ok()) return *status;
  if (options.syslog) tell(status.error(), true);
  return 1;
}

int run_with(const Options& options, std::vector<std::string> env) {
  auto fds = inherited_descriptors();
  if (!fds.ok()) return fail(fds.error());
  EnginePipes::Names names;
  names.start = take_variable(env, "_OCI_STARTPIPE");
  names.sync = take_variable(env, "_OCI_SYNCPIPE");
  names.attach = take_variable(env, "_OCI_ATTACHPIPE");
  auto pipes = EnginePipes::open(names);
  if (!pipes.ok()) return fail(pipes.error());
  if (Status started = pipes->wait_for_start(); !started.ok()) return fail(started.error());
  // Those of the engine that were not taken over as pipes; the descriptor of the listing is closed by now.
  std::erase_if(*fds, [](int fd) { return ::fcntl(fd, F_GETFD) != 0; });

  Inherited inherited;
  inherited.fds = std::move(fds).value();
  const std::string listen_pid = "LISTEN_PID=" + std::to_string(::getpid());
  for (const std::string& entry : env) {
    if (options.replace_listen_pid && entry == listen_pid) inherited.replace_listen_pid = true;
  }
  inherited.env = std::move(env);
  auto logs = LogSinks::open(options);
  if (!logs.ok()) {
    pipes->report("data", -1, log::sentence(logs.error()));
    return fail(logs.error());
  }
  inherited.logs = std::move(logs).value();
  inherited.oom_score_adj = lower_oom_score();

  if (!options.sync) {
    const auto child = sys::clone3(0);
    if (!child.ok()) return fail(child.error());
    if (child->pid != 0) {
      const Status written = write_pidfile(options, child->pid);
      return written.ok() ? 0 : fail(written.error());
    }
  } else if (Status written = write_pidfile(options, ::getpid()); !written.ok()) {
    return fail(written.error());
  }
  return monitor_container(options, std::move(pipes).value(), std::move(inherited));
}

}  // namespace

int run_program(char** argv, char** environment) {
  if (Status streams = io::occupy_standard_streams(); !streams.ok()) return fail(streams.error());
  // Writing to a program that has closed its input, or to an engine that has gone, fails; it is not our end.
  monitor::reset_signals();
  monitor::prepare_allocator();
  std::vector<std::string> words;
  for (char** word = argv[0] == nullptr ? argv : argv + 1; *word != nullptr; ++word) words.emplace_back(*word);
  const auto options = parse_options(words, working_directory());
  if (!options.ok()) return fail(options.error());
  if (options->help || options->version) {
    const std::string text =
        options->help ? usage_text()
                      : "conmon version " + std::string(kCompatible) + "\ncommit: cooper " COOPER_VERSION "\n";
    return sys::write_all(BorrowedFd(STDOUT_FILENO), text).ok() ? 0 : 1;
  }
  std::vector<std::string> env;
  for (char** entry = environment; *entry != nullptr; ++entry) env.emplace_back(*entry);
  return run_with(*options, std::move(env));
}

}  // namespace cooper::conmon
