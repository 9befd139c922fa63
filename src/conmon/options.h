// The command line of a container monitor as podman, CRI-O and buildah write it, and the one for the runtime that
// follows from it. No input or output here.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace cooper::conmon {

struct LogTarget {
  enum class Kind {
    kFile,         // "k8s-file:PATH", "json-file:PATH", or a bare PATH
    kJournal,      // "journald" or "journald:"
    kPassthrough,  // the container has our own standard streams
    kNone,         // "none", "off", "null"
  };
  Kind kind = Kind::kNone;
  std::string path;
  bool operator==(const LogTarget&) const = default;
};

struct Options {
  std::string cid, cuuid, name;
  std::string runtime, bundle, container_pidfile, conmon_pidfile, exit_dir, persist_dir;
  std::string socket_dir = "/var/run/crio";
  std::string exec_process_spec, exit_command, restore, sdnotify_socket, log_level, log_tag;
  std::string seccomp_notify_socket, seccomp_notify_plugins;  // refused
  std::vector<std::string> runtime_args, runtime_opts, exit_command_args, log_paths, log_labels, log_allowlist_dirs;
  bool exec = false, exec_attach = false, terminal = false, stdin_open = false, leave_stdin_open = false;
  bool systemd_cgroup = false, no_pivot = false, no_new_keyring = false, replace_listen_pid = false;
  bool sync = false, syslog = false, full_attach = false, no_sync_log = false, no_partial_message = false;
  bool log_rotate = false, version = false, help = false;
  std::int64_t api_version = 0, exit_delay_s = 0, timeout_s = 0;
  std::int64_t log_size_max = 0, log_global_size_max = 0, log_max_files = 1;  // sizes: <= 0 is no limit
  std::vector<LogTarget> logs;                                                // what log_paths say

  bool passes_stdio_through() const;
  bool logs_to(LogTarget::Kind kind) const;
};

// `words` without the program's name. --help and --version end it: nothing else is checked then. Paths are left as they
// were given; an empty bundle (but of --exec) or pid file gets its default below `working_directory`.
Result<Options> parse_options(std::span<const std::string> words, const std::string& working_directory);
Result<LogTarget> parse_log_target(std::string_view text);
// What --help prints.
std::string usage_text();

// create, exec or restore; `console_socket` empty: the container has no terminal.
std::vector<std::string> runtime_argv(const Options& options, const std::string& console_socket);

}  // namespace cooper::conmon
