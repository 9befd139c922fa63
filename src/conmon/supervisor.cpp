#include "conmon/supervisor.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "cgroup/cgroup.h"
#include "conmon/program_child.h"
#include "io/file.h"
#include "monitor/process_setup.h"
#include "sys/cred.h"
#include "sys/file.h"
#include "sys/socket.h"
#include "sys/tables.h"

namespace cooper::conmon {
namespace {

using monitor::protocol::Stream;

constexpr int kIdleMs = 500;  // then memory is given back
constexpr std::size_t kSocketPath = 107;
constexpr int kNotStarted = 1;

sigset_t watched_signals() {
  sigset_t set;
  (void)::sigemptyset(&set);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGQUIT}) (void)::sigaddset(&set, signal);
  return set;
}

// A directory of ours only, whose name leaves room for a socket in it: the runtime connects by path.
Result<std::string> make_console_directory(const std::vector<std::string>& env) {
  std::vector<std::string> places = {"/tmp", "/run"};
  for (const std::string& entry : env) {
    if (entry.starts_with("TMPDIR=/")) places.insert(places.begin(), entry.substr(7));
  }
  int failed = ENAMETOOLONG;
  for (const std::string& place : places) {
    std::string path = place + "/conmon-term.XXXXXX";
    if (path.size() + 8 > kSocketPath) continue;
    if (::mkdtemp(path.data()) != nullptr) return path;
    failed = errno;
  }
  return Error::from_errno(failed, "make a directory for the console socket")
      .with_hint("let TMPDIR name a directory that can be written, with a short name");
}

}  // namespace

Supervisor::Supervisor(const Options& options, EnginePipes pipes, Inherited inherited, io::EventLoop loop)
    : options_(options),
      pipes_(std::move(pipes)),
      inherited_(std::move(inherited)),
      loop_(std::move(loop)),
      attach_(loop_, {[this](std::string_view data) {
                        touch();
                        streams_.write_input(data);
                      },
                      [this] {
                        if (!options_.leave_stdin_open) streams_.close_input();
                      },
                      [this] { streams_.update_flow(); }}),
      streams_(loop_, {[this](Stream stream, std::string_view data) {
                         touch();
                         // The log first: whatever a client saw is in it.
                         inherited_.logs.append(stream, data);
                         attach_.output(stream, data);
                       },
                       [this] { inherited_.logs.flush_partials(); }, [this] { return attach_.holds_back(); },
                       [this](bool choked) { attach_.pause_input(choked); }}),
      control_(loop_, {[this](std::uint16_t rows, std::uint16_t columns) { streams_.resize(rows, columns); },
                       [this] { inherited_.logs.reopen(); }}),
      notify_(loop_) {}

// Old engines listen for other words.
std::string_view Supervisor::start_key() const {
  if (options_.api_version >= 1) return "data";
  return options_.exec ? "exit_code" : "pid";
}

void Supervisor::touch() {
  if (idle_timer_ || container_ == 0) return;
  idle_timer_ = true;
  (void)loop_.add_timer(kIdleMs, [this] {
    idle_timer_ = false;
    inherited_.logs.release_memory();
    monitor::trim_memory();
  });
}

Status Supervisor::prepare_console() {
  ASSIGN_OR_RETURN(console_dir_, make_console_directory(inherited_.env));
  ASSIGN_OR_RETURN(console_listener_, sys::unix_listen(console_dir_ + "/s", SOCK_STREAM, 0700));
  return loop_.add(console_listener_, EPOLLIN, [this](std::uint32_t) { take_console(); });
}

void Supervisor::take_console() {
  auto connection = sys::accept(console_listener_);
  if (!connection.ok()) return;
  // The runtime sends at once, and waits for nothing before that.
  auto message = sys::recv_message(*connection, 4096);
  if (!message.ok() || message->fds.empty()) return;
  if (!streams_.take_terminal(std::move(message->fds[0])).ok()) return;
  console_done_ = true;
  loop_.remove(console_listener_);
  console_listener_.reset();
}

Status Supervisor::prepare_attach() {
  if (options_.full_attach) return attach_.listen(options_.bundle + "/attach");
  // A short way to a bundle whose path may be long.
  const std::string link = options_.socket_dir + "/" + (options_.cuuid.empty() ? options_.cid : options_.cuuid);
  RETURN_IF_ERROR(io::make_directories(options_.socket_dir, 0700));
  Status removed = sys::unlinkat(sys::kCwd, link);
  if (!removed.ok() && removed.error().errno_value() != ENOENT)
    return std::move(removed).error().with("replace " + quoted(link));
  RETURN_IF_ERROR(sys::symlinkat(options_.bundle, sys::kCwd, link));
  socket_link_ = link;
  return attach_.listen(link + "/attach");
}

Status Supervisor::prepare() {
  const sigset_t signals = watched_signals();
  (void)::sigprocmask(SIG_BLOCK, &signals, nullptr);
  signals_.reset(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return Error::from_errno(errno, "create signal descriptor");
  RETURN_IF_ERROR(loop_.add(signals_, EPOLLIN, [this](std::uint32_t) { on_signals(); }));
  if (!options_.passes_stdio_through()) {
    ASSIGN_OR_RETURN(child_, streams_.make_pipes(options_.terminal, options_.stdin_open));
    if (options_.terminal) RETURN_IF_ERROR(prepare_console());
  }
  if (!options_.bundle.empty()) {
    RETURN_IF_ERROR(prepare_attach());
    RETURN_IF_ERROR(control_.open(options_.bundle));
  }
  if (!options_.sdnotify_socket.empty() && !options_.bundle.empty())
    RETURN_IF_ERROR(notify_.open(options_.bundle, options_.sdnotify_socket));
  if (options_.exec_attach) {
    pipes_.report_attach_ready();
    RETURN_IF_ERROR(pipes_.wait_for_start());
  }
  pipes_.close_start();
  return {};
}

Status Supervisor::start_runtime() {
  Program program;
  program.argv = runtime_argv(options_, console_listener_ ? console_dir_ + "/s" : std::string());
  program.env = inherited_.env;
  // The runtime would open a relay of its own.
  if (!options_.sdnotify_socket.empty())
    std::erase_if(program.env, [](const std::string& entry) { return entry.starts_with("NOTIFY_SOCKET="); });
  program.in = child_.in;
  program.out = child_.out;
  program.err = child_.err;
  program.keeps_stdio = options_.passes_stdio_through();
  program.dies_with_us = true;
  program.replaces_listen_pid = inherited_.replace_listen_pid;
  program.oom_score_adj = inherited_.oom_score_adj;
  ASSIGN_OR_RETURN(runtime_, start_program(program));
  child_ = ChildStdio();
  return {};
}

void Supervisor::forward(int signal) {
  if (container_ > 0 && !status_) {
    (void)::kill(container_, signal);
  } else if (runtime_ > 0 && !runtime_status_) {
    (void)::kill(runtime_, signal);
  }
}

void Supervisor::on_signals() {
  struct signalfd_siginfo info = {};
  bool children = false;
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGCHLD) {
      children = true;
    } else {
      forward(static_cast<int>(info.ssi_signo));
    }
  }
  if (children) reap();
}

// Everybody below us whose parent has gone is ours, too.
void Supervisor::reap() {
  int raw = 0;
  pid_t pid = 0;
  while ((pid = ::waitpid(-1, &raw, WNOHANG)) > 0) {
    const sys::ExitStatus status = sys::exit_status_from_wait(raw);
    if (pid == runtime_) {
      runtime_status_ = status;
    } else if (pid == container_) {
      status_ = status;
    } else if (pid == exit_command_) {
      exit_command_ = 0;
    } else if (container_ == 0) {
      ended_[pid] = status;
    }
  }
}

Status Supervisor::wait_for_runtime() {
  while (!runtime_status_) RETURN_IF_ERROR(loop_.run_once(-1));
  if (runtime_status_->shell_code() != 0) return runtime_failed(*runtime_status_);
  // It has sent the terminal before it ended.
  if (console_listener_) RETURN_IF_ERROR(loop_.run_once(0));
  if (options_.terminal && !options_.passes_stdio_through() && !console_done_) {
    return Error(Errc::kSystem,
                 "runtime " + quoted(options_.runtime) + " has made the container, and sent no terminal");
  }
  return {};
}

Status Supervisor::runtime_failed(const sys::ExitStatus& status) {
  std::string words = streams_.take_errors();
  while (!words.empty() && words.back() == '\n') words.pop_back();
  if (words.empty()) {
    words = "runtime " + quoted(options_.runtime) + " failed without a word: " +
            (status.signal != 0 ? "killed by " + sys::signal_name(status.signal)
                                : "exit status " + std::to_string(status.code));
  }
  const int value = options_.exec && status.shell_code() > 0 ? -status.shell_code() : -1;
  pipes_.report(start_key(), value, words);
  pipes_.close_sync();
  return Error(Errc::kSystem, words);
}

Status Supervisor::adopt_container() {
  ASSIGN_OR_RETURN(const std::string text, io::read_file(options_.container_pidfile, 64));
  const auto pid = parse_number<pid_t>(trim(text));
  if (!pid || *pid <= 0)
    return Error(Errc::kCorrupt, "the runtime wrote no process number to " + quoted(options_.container_pidfile) +
                                     ", but " + quoted(text));
  container_ = *pid;
  if (const auto ended = ended_.find(container_); ended != ended_.end()) status_ = ended->second;
  ended_.clear();
  watch_memory();
  streams_.release_errors();
  // Old engines want nothing but the exit status of an exec session.
  if (options_.api_version >= 1 || !options_.exec) pipes_.report(start_key(), container_);
  if (options_.timeout_s > 0) (void)loop_.add_timer(options_.timeout_s * 1000, [this] { kill_container(); });
  touch();
  return {};
}

void Supervisor::kill_container() {
  if (status_) return;
  timed_out_ = true;
  (void)::kill(container_, SIGKILL);
}

// Without a memory controller, or when the container has already gone, there is nothing to watch.
void Supervisor::watch_memory() {
  if (options_.exec) return;
  const auto layout = cgroup::probe_layout();
  const auto paths = cgroup::paths_of(container_);
  if (!layout.ok() || !paths.ok()) return;
  auto own = paths->find("memory");
  if (own == paths->end()) own = paths->find("");
  if (own == paths->end() || own->second == "/") return;
  const auto group = cgroup::Group::open(*layout, own->second);
  if (!group.ok()) return;
  auto watch = cgroup::OomWatch::start(*group);
  if (!watch.ok()) return;
  oom_ = std::move(watch).value();
  if (!loop_.add(oom_->fd(), EPOLLIN, [this](std::uint32_t) { note_oom(); }).ok()) oom_.reset();
}

void Supervisor::note_oom() {
  if (!oom_ || oom_->take() == 0) return;
  for (const std::string& directory : {options_.bundle, options_.persist_dir}) {
    if (!directory.empty()) (void)!io::write_file_atomic(directory + "/oom", "", 0644).ok();
  }
}

void Supervisor::write_exit_files(int status) {
  const std::string text = std::to_string(status);
  if (!options_.persist_dir.empty()) (void)!io::write_file_atomic(options_.persist_dir + "/exit", text, 0644).ok();
  if (!options_.exit_dir.empty()) (void)!io::write_file_atomic(options_.exit_dir + "/" + options_.cid, text, 0644).ok();
}

void Supervisor::run_exit_command() {
  Program program;
  program.argv = {options_.exit_command};
  program.argv.insert(program.argv.end(), options_.exit_command_args.begin(), options_.exit_command_args.end());
  program.env = inherited_.env;
  program.oom_score_adj = inherited_.oom_score_adj;
  // What it leaves behind, the monitor of a restarted container, is no child of ours.
  (void)!sys::set_child_subreaper(false).ok();
  const auto started = start_program(program);
  if (started.ok()) exit_command_ = *started;
}

void Supervisor::finish(int status) {
  if (oom_) {
    note_oom();
    loop_.remove(oom_->fd());
    oom_.reset();
  }
  streams_.drain();
  inherited_.logs.finish();
  attach_.finish();
  // Ports that the engine kept busy are free before anybody hears of the end.
  for (const int fd : inherited_.fds) (void)::close(fd);
  if (!console_dir_.empty()) {
    (void)!sys::unlinkat(sys::kCwd, console_dir_ + "/s").ok();
    (void)!sys::unlinkat(sys::kCwd, console_dir_, AT_REMOVEDIR).ok();
    console_dir_.clear();
  }
  if (container_ == 0) return;
  write_exit_files(status);
  if (options_.exec) {
    const std::string_view key = options_.api_version >= 1 ? "data" : "exit_code";
    pipes_.report(key, status, timed_out_ ? "command timed out" : "");
  }
  pipes_.close_sync();
}

Result<int> Supervisor::run() {
  Status started = prepare();
  if (started.ok()) started = start_runtime();
  if (started.ok()) started = wait_for_runtime();
  if (started.ok()) started = adopt_container();
  if (!started.ok() && container_ == 0) pipes_.report(start_key(), -1, started.error().message());
  if (started.ok() && !console_dir_.empty()) {
    (void)!sys::unlinkat(sys::kCwd, console_dir_ + "/s").ok();
    (void)!sys::unlinkat(sys::kCwd, console_dir_, AT_REMOVEDIR).ok();
    console_dir_.clear();
  }
  while (started.ok() && !status_) {
    // A loop that fails would leave the container without its monitor: there is nothing better than to go on.
    if (!loop_.run_once(-1).ok()) reap();
  }
  const int status = !started.ok() ? kNotStarted : timed_out_ ? -1 : status_->shell_code();
  finish(status);
  if (!options_.exit_command.empty()) {
    bool due = options_.exit_delay_s <= 0;
    if (!due) (void)loop_.add_timer(options_.exit_delay_s * 1000, [&due] { due = true; });
    while (!due) RETURN_IF_ERROR(loop_.run_once(-1));
    run_exit_command();
  }
  // Clients take what is left for them meanwhile.
  while (exit_command_ != 0 || !attach_.idle()) RETURN_IF_ERROR(loop_.run_once(-1));
  if (!started.ok()) return std::move(started).error();
  return status;
}

}  // namespace cooper::conmon
