// top: the processes of a container.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "cli/cooper/command.h"
#include "container/container.h"

namespace cooper::cli {

struct ProcessInfo {
  pid_t host_pid = 0;
  pid_t pid = 0, parent = 0;  // pid as seen inside; parent on the host
  uid_t uid = 0;
  char state = '?';
  std::uint64_t start_ticks = 0, cpu_ticks = 0;
  std::uint64_t rss_bytes = 0;
  int tty = 0;
  std::string command;
};
// From the texts of /proc/PID/stat and /proc/PID/status; nullopt when they are not such texts.
std::optional<ProcessInfo> parse_process(std::string_view stat, std::string_view status, std::uint64_t page_bytes);

// init: the first process on the host, whose root has the names of users.
Status print_processes(const Context& context, const container::Container& container, pid_t init);

}  // namespace cooper::cli
