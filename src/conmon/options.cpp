#include "conmon/options.h"

#include <algorithm>
#include <array>
#include <variant>

#include "base/strings.h"

namespace cooper::conmon {
namespace {

using Field =
    std::variant<bool Options::*, std::int64_t Options::*, std::string Options::*, std::vector<std::string> Options::*>;

struct Flag {
  char letter;  // 0: none
  std::string_view name;
  Field field;
  std::string_view help;  // empty: not shown
};

constexpr std::array<Flag, 49> kFlags = {{
    {0, "api-version", &Options::api_version, "what is said on the sync pipe: 1, or 0 for old callers"},
    {'b', "bundle", &Options::bundle, "directory of the bundle"},
    {'c', "cid", &Options::cid, "identifier of the container"},
    {'P', "conmon-pidfile", &Options::conmon_pidfile, "file for the process number of the monitor"},
    {0, "pidfile", &Options::conmon_pidfile, ""},
    {'p', "container-pidfile", &Options::container_pidfile, "file for the process number of the container's init"},
    {'u', "cuuid", &Options::cuuid, "unique identifier of the container or of the exec session"},
    {'e', "exec", &Options::exec, "run a process in a container that runs"},
    {0, "exec-attach", &Options::exec_attach, "with --exec: wait for a client before the process starts"},
    {0, "exec-process-spec", &Options::exec_process_spec, "file that describes the process of --exec"},
    {0, "exit-command", &Options::exit_command, "program to run when the container has ended"},
    {0, "exit-command-arg", &Options::exit_command_args, "argument for it; may be repeated"},
    {0, "exit-delay", &Options::exit_delay_s, "seconds to wait before the exit command"},
    {0, "exit-dir", &Options::exit_dir, "directory for the file that holds the exit status"},
    {0, "full-attach", &Options::full_attach, "the attach socket is in the bundle; --socket-dir-path is not used"},
    {'h', "help", &Options::help, "this text"},
    {0, "leave-stdin-open", &Options::leave_stdin_open, "a client that goes does not end the container's input"},
    {0, "log-allowlist-dir", &Options::log_allowlist_dirs, "log files must lie below it; may be repeated"},
    {0, "log-global-size-max", &Options::log_global_size_max, "bytes that are logged at most, in all"},
    {0, "log-label", &Options::log_labels, "KEY=VALUE for journal entries; may be repeated"},
    {0, "log-level", &Options::log_level, "trace, debug, info, warning, error, fatal or panic"},
    {0, "log-max-files", &Options::log_max_files, "with --log-rotate: how many files, with the current one"},
    {'l', "log-path", &Options::log_paths, "where output goes, [DRIVER:]PATH: k8s-file, journald, passthrough, none"},
    {0, "log-rotate", &Options::log_rotate, "a full log file is renamed, not emptied"},
    {0, "log-size-max", &Options::log_size_max, "bytes of a log file at most"},
    {0, "log-tag", &Options::log_tag, "tag of journal entries"},
    {'n', "name", &Options::name, "name of the container"},
    {0, "no-container-partial-message", &Options::no_partial_message, "do not mark incomplete lines in the journal"},
    {0, "no-new-keyring", &Options::no_new_keyring, "for the runtime"},
    {0, "no-pivot", &Options::no_pivot, "for the runtime"},
    {0, "no-sync-log", &Options::no_sync_log, "do not flush log files to disk at the end"},
    {'0', "persist-dir", &Options::persist_dir, "directory for a second copy of the exit status and of 'oom'"},
    {0, "replace-listen-pid", &Options::replace_listen_pid, "LISTEN_PID becomes the runtime's when it is ours"},
    {0, "restore", &Options::restore, "directory of a checkpoint to restore from"},
    {0, "restore-arg", &Options::runtime_opts, ""},
    {'r', "runtime", &Options::runtime, "the OCI runtime"},
    {0, "runtime-arg", &Options::runtime_args, "argument for the runtime, before its verb; may be repeated"},
    {0, "runtime-opt", &Options::runtime_opts, "argument for its verb; may be repeated"},
    {0, "sdnotify-socket", &Options::sdnotify_socket, "where the service manager is told what the container says"},
    {0, "seccomp-notify-plugins", &Options::seccomp_notify_plugins, ""},
    {0, "seccomp-notify-socket", &Options::seccomp_notify_socket, ""},
    {0, "socket-dir-path", &Options::socket_dir, "directory of attach sockets"},
    {'i', "stdin", &Options::stdin_open, "the container has an input"},
    {0, "sync", &Options::sync, "stay the caller's child"},
    {0, "syslog", &Options::syslog, "messages of the monitor go to syslog as well"},
    {'s', "systemd-cgroup", &Options::systemd_cgroup, "for the runtime"},
    {'t', "terminal", &Options::terminal, "the container has a terminal"},
    {'T', "timeout", &Options::timeout_s, "seconds after which the container is killed"},
    {0, "version", &Options::version, "print the version"},
}};

constexpr std::array<std::string_view, 8> kLevels = {"trace", "debug", "info",  "warning",
                                                     "warn",  "error", "fatal", "panic"};

Error usage_error(std::string message) {
  return Error(Errc::kInvalidArgument, std::move(message)).with_hint("conmon --help lists the options");
}

Status set_value(Options& out, const Flag& flag, std::string_view value) {
  if (const auto* text = std::get_if<std::string Options::*>(&flag.field)) out.*(*text) = value;
  if (const auto* list = std::get_if<std::vector<std::string> Options::*>(&flag.field))
    (out.*(*list)).emplace_back(value);
  if (const auto* number = std::get_if<std::int64_t Options::*>(&flag.field)) {
    const auto parsed = parse_number<std::int64_t>(value);
    if (!parsed) return usage_error("--" + std::string(flag.name) + " needs a number, not " + quoted(value));
    out.*(*number) = *parsed;
  }
  return {};
}

// The words of a command line, one flag after the other.
class Reader {
 public:
  Reader(Options& out, std::span<const std::string> words) : out_(out), words_(words) {}

  Status read() {
    while (next_ < words_.size()) {
      const std::string_view word = words_[next_++];
      if (word == "--") break;
      if (word.starts_with("--")) {
        RETURN_IF_ERROR(long_flag(word.substr(2)));
      } else if (word.size() > 1 && word[0] == '-') {
        RETURN_IF_ERROR(letters(word.substr(1)));
      } else {
        return usage_error("unexpected argument " + quoted(word));
      }
    }
    if (next_ < words_.size()) return usage_error("unexpected argument " + quoted(words_[next_]));
    return {};
  }

 private:
  Status long_flag(std::string_view text) {
    const auto pair = split_once(text, '=');
    const std::string_view name = pair ? pair->first : text;
    const auto* const flag = std::ranges::find(kFlags, name, &Flag::name);
    if (flag == kFlags.end()) return usage_error("unknown option " + quoted("--" + std::string(name)));
    if (const auto* on = std::get_if<bool Options::*>(&flag->field)) {
      if (pair) return usage_error("--" + std::string(name) + " takes no value");
      out_.*(*on) = true;
      return {};
    }
    if (pair) return set_value(out_, *flag, pair->second);
    return next_word(*flag);
  }

  Status letters(std::string_view text) {
    while (!text.empty()) {
      const auto* const flag = std::ranges::find(kFlags, text[0], &Flag::letter);
      if (flag == kFlags.end() || text[0] == '\0')
        return usage_error("unknown option " + quoted("-" + std::string(1, text[0])));
      text.remove_prefix(1);
      if (const auto* on = std::get_if<bool Options::*>(&flag->field)) {
        out_.*(*on) = true;
        continue;
      }
      return text.empty() ? next_word(*flag) : set_value(out_, *flag, text);
    }
    return {};
  }

  Status next_word(const Flag& flag) {
    if (next_ == words_.size()) return usage_error("--" + std::string(flag.name) + " needs a value");
    return set_value(out_, flag, words_[next_++]);
  }

  Options& out_;
  std::span<const std::string> words_;
  std::size_t next_ = 0;
};

Status check_logs(const Options& options) {
  if (options.logs_to(LogTarget::Kind::kJournal)) {
    if (options.cid.size() <= 12)
      return usage_error("log driver journald needs a container identifier of more than 12 characters, not " +
                         quoted(options.cid));
    for (const std::string& label : options.log_labels) {
      if (!split_once(label, '=')) return usage_error("--log-label needs KEY=VALUE, not " + quoted(label));
    }
  } else if (options.logs_to(LogTarget::Kind::kFile)) {
    if (!options.log_tag.empty())
      return usage_error("--log-tag: lines of a log file have no place for a tag")
          .with_hint("use the log driver journald, or leave the tag out");
    if (!options.log_labels.empty())
      return usage_error("--log-label: lines of a log file have no place for labels")
          .with_hint("use the log driver journald, or leave the label out");
  }
  return {};
}

Status check(const Options& options) {
  if (options.cid.empty()) return usage_error("--cid is missing: the identifier of the container");
  if (options.cid.find('/') != std::string::npos)
    return usage_error("--cid " + quoted(options.cid) + " would lead to another directory: it names files");
  if (!options.exec && options.cuuid.empty())
    return usage_error("--cuuid is missing: the unique identifier of the container");
  if (options.runtime.empty()) return usage_error("--runtime is missing: the OCI runtime to be called");
  if (options.exec && options.exec_process_spec.empty())
    return usage_error("--exec needs --exec-process-spec, the file that describes the process");
  if (options.exec_attach && options.bundle.empty())
    return usage_error("--exec-attach needs --bundle, the directory where clients find the socket");
  if (options.exec && !options.restore.empty()) return usage_error("--exec and --restore exclude each other");
  if (options.log_paths.empty()) return usage_error("--log-path is missing: where output goes, none for nowhere");
  if (!options.log_level.empty() && std::ranges::find(kLevels, options.log_level) == kLevels.end())
    return usage_error("--log-level: there is no level " + quoted(options.log_level));
  if (!options.seccomp_notify_socket.empty() || !options.seccomp_notify_plugins.empty())
    return Error(Errc::kUnsupported, "seccomp notification plugins cannot be loaded: this monitor is a static program")
        .with_hint("let the profile's listenerPath name the socket of an agent, which the runtime speaks to itself");
  return check_logs(options);
}

}  // namespace

bool Options::logs_to(LogTarget::Kind kind) const {
  return std::ranges::any_of(logs, [kind](const LogTarget& target) { return target.kind == kind; });
}

bool Options::passes_stdio_through() const {
  return logs_to(LogTarget::Kind::kPassthrough);
}

Result<LogTarget> parse_log_target(std::string_view text) {
  using Kind = LogTarget::Kind;
  const auto pair = split_once(text, ':');
  const std::string_view driver = pair ? pair->first : text;
  const std::string path(pair ? pair->second : std::string_view());
  if (driver == "none" || driver == "off" || driver == "null") return LogTarget{Kind::kNone, {}};
  if (driver == "journald") return LogTarget{Kind::kJournal, {}};
  if (driver == "passthrough") return LogTarget{Kind::kPassthrough, {}};
  if (driver == "k8s-file" || driver == "json-file" || (pair && driver.empty())) {
    if (path.empty()) return usage_error("--log-path " + quoted(text) + " names no file");
    return LogTarget{Kind::kFile, path};
  }
  if (!pair && !text.empty()) return LogTarget{Kind::kFile, std::string(text)};
  return usage_error("--log-path " + quoted(text) + ": there is no log driver " + quoted(driver));
}

Result<Options> parse_options(std::span<const std::string> words, const std::string& working_directory) {
  Options out;
  RETURN_IF_ERROR(Reader(out, words).read());
  if (out.help || out.version) return out;
  for (const std::string& text : out.log_paths) {
    ASSIGN_OR_RETURN(LogTarget target, parse_log_target(text));
    out.logs.push_back(std::move(target));
  }
  RETURN_IF_ERROR(check(out));
  // A process that is called without one (CRI-O) has no place for a socket and fifos: nobody looks for them.
  if (out.bundle.empty() && !out.exec) out.bundle = working_directory;
  if (out.container_pidfile.empty()) out.container_pidfile = working_directory + "/pidfile-" + out.cid;
  return out;
}

std::string usage_text() {
  std::string out =
      "Usage: conmon [OPTION...]\n\nMonitors one container (or one exec session) for podman, CRI-O and others: "
      "streams, "
      "log, attach, exit status.\n\n";
  for (const Flag& flag : kFlags) {
    if (flag.help.empty()) continue;
    std::string left = "  ";
    if (flag.letter != 0) left += std::string("-") + flag.letter + ", ";
    left += "--" + std::string(flag.name);
    left.resize(std::max(left.size() + 1, std::size_t{35}), ' ');
    out += left + std::string(flag.help) + "\n";
  }
  return out;
}

std::vector<std::string> runtime_argv(const Options& options, const std::string& console_socket) {
  std::vector<std::string> out = {options.runtime};
  const auto add = [&](std::initializer_list<std::string> words) { out.insert(out.end(), words); };
  if (options.systemd_cgroup) add({"--systemd-cgroup"});
  out.insert(out.end(), options.runtime_args.begin(), options.runtime_args.end());
  if (options.exec) {
    add({"exec", "--pid-file", options.container_pidfile, "--process", options.exec_process_spec, "--detach"});
  } else {
    add({options.restore.empty() ? "create" : "restore", "--bundle", options.bundle, "--pid-file",
         options.container_pidfile});
    if (!options.restore.empty()) {
      add({"--detach", "--image-path", options.restore, "--work-path", options.bundle});
    }
    if (options.no_pivot) add({"--no-pivot"});
    if (options.no_new_keyring) add({"--no-new-keyring"});
  }
  out.insert(out.end(), options.runtime_opts.begin(), options.runtime_opts.end());
  if (!console_socket.empty()) add({"--console-socket", console_socket});
  add({options.cid});
  return out;
}

}  // namespace cooper::conmon
