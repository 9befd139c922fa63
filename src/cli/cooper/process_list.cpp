#include "cli/cooper/process_list.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "base/strings.h"
#include "io/file.h"
#include "io/root_dir.h"
#include "sys/file.h"

namespace cooper::cli {
namespace {

constexpr std::size_t kMaxPasswdBytes = std::size_t{1} << 20;

std::string_view status_value(std::string_view status, std::string_view name) {
  for (const std::string_view line : split(status, '\n')) {
    if (line.size() > name.size() && line.starts_with(name) && line[name.size()] == ':')
      return trim(line.substr(name.size() + 1));
  }
  return {};
}

std::string_view last_word(std::string_view text) {
  const std::size_t at = text.find_last_of(" \t");
  return at == std::string_view::npos ? text : text.substr(at + 1);
}

// uid -> name from the container's own /etc/passwd; empty when it has none.
std::map<uid_t, std::string> user_names(pid_t init) {
  std::map<uid_t, std::string> names;
  if (init <= 0) return names;
  auto root = sys::openat(sys::kCwd, "/proc/" + std::to_string(init) + "/root", O_PATH | O_DIRECTORY);
  if (!root.ok()) return names;
  const auto passwd = io::RootDir::adopt(std::move(root).value()).read_file("/etc/passwd", kMaxPasswdBytes);
  if (!passwd.ok()) return names;
  for (const std::string_view line : split(*passwd, '\n')) {
    const auto fields = split(line, ':');
    const auto uid = fields.size() >= 3 ? parse_number<uid_t>(fields[2]) : std::nullopt;
    if (uid) names.emplace(*uid, fields[0]);
  }
  return names;
}

// A process that ended meanwhile has nothing to read.
std::optional<ProcessInfo> read_process(pid_t pid, std::uint64_t page_bytes) {
  const std::string directory = "/proc/" + std::to_string(pid);
  const auto stat = io::read_file(directory + "/stat");
  const auto status = io::read_file(directory + "/status");
  const auto cmdline = io::read_file(directory + "/cmdline");
  if (!stat.ok() || !status.ok() || !cmdline.ok()) return std::nullopt;
  auto process = parse_process(*stat, *status, page_bytes);
  if (process && !cmdline->empty()) {
    process->command = *cmdline;
    while (!process->command.empty() && process->command.back() == '\0') process->command.pop_back();
    std::replace(process->command.begin(), process->command.end(), '\0', ' ');
  }
  return process;
}

std::string clock_text(std::uint64_t seconds) {
  if (seconds >= 86400)
    return fmt::format("{}-{:02}:{:02}:{:02}", seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
  return fmt::format("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

std::string tty_text(int device) {
  const unsigned number = static_cast<unsigned>(device);
  const unsigned major = number >> 8 & 0xfff;
  const unsigned minor = (number & 0xff) | (number >> 12 & 0xfff00);
  if (device == 0) return "?";
  if (major >= 136 && major <= 143) return fmt::format("pts/{}", (major - 136) * 256 + minor);
  return fmt::format("{}:{}", major, minor);
}

}  // namespace

std::optional<ProcessInfo> parse_process(std::string_view stat, std::string_view status, std::uint64_t page_bytes) {
  const std::size_t open = stat.find('(');
  const std::size_t close = stat.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open || close + 2 > stat.size())
    return std::nullopt;
  const auto fields = split(trim(stat.substr(close + 1)), ' ');
  if (fields.size() < 22 || fields[0].size() != 1) return std::nullopt;
  ProcessInfo process;
  process.command = "[" + std::string(stat.substr(open + 1, close - open - 1)) + "]";
  process.state = fields[0][0];
  const auto host = parse_number<pid_t>(trim(stat.substr(0, open)));
  const auto parent = parse_number<pid_t>(fields[1]);
  const auto tty = parse_number<int>(fields[4]);
  const auto user_ticks = parse_number<std::uint64_t>(fields[11]);
  const auto system_ticks = parse_number<std::uint64_t>(fields[12]);
  const auto start = parse_number<std::uint64_t>(fields[19]);
  const auto pages = parse_number<std::uint64_t>(fields[21]);
  if (!host || !parent || !tty || !user_ticks || !system_ticks || !start || !pages) return std::nullopt;
  process.host_pid = *host;
  process.parent = *parent;
  process.tty = *tty;
  process.cpu_ticks = *user_ticks + *system_ticks;
  process.start_ticks = *start;
  process.rss_bytes = *pages * page_bytes;
  process.pid = parse_number<pid_t>(last_word(status_value(status, "NSpid"))).value_or(*host);
  const std::string_view uids = status_value(status, "Uid");
  const std::size_t effective = uids.find('\t');
  if (effective == std::string_view::npos) return std::nullopt;
  const std::string_view rest = uids.substr(effective + 1);
  process.uid = parse_number<uid_t>(rest.substr(0, rest.find('\t'))).value_or(0);
  return process;
}

Status print_processes(const Context& context, const container::Container& container, pid_t init) {
  ASSIGN_OR_RETURN(std::vector<pid_t> pids, container.processes());
  if (pids.empty()) return Error(Errc::kWrongState, "container " + quoted(container.record().id) + " is not running");
  std::ranges::sort(pids);
  const auto page_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const auto ticks = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  std::vector<ProcessInfo> processes;
  std::map<pid_t, pid_t> inside = {{0, 0}};
  for (const pid_t pid : pids) {
    auto process = read_process(pid, page_bytes);
    if (!process) continue;
    inside[process->host_pid] = process->pid;
    processes.push_back(std::move(*process));
  }
  struct timespec up = {};
  (void)::clock_gettime(CLOCK_BOOTTIME, &up);
  const auto up_s = static_cast<std::uint64_t>(up.tv_sec);
  const auto users = user_names(init);
  Table table({"USER", "PID", "PPID", "HPID", "ELAPSED", "TTY", "TIME", "RSS", "S", "COMMAND"});
  codec::json::Writer out = context.json_writer();
  out.begin_object().key("processes").begin_array();
  for (const ProcessInfo& process : processes) {
    const auto user = users.find(process.uid);
    const std::string name = user == users.end() ? std::to_string(process.uid) : user->second;
    const auto parent = inside.find(process.parent);
    const pid_t parent_inside = parent == inside.end() ? 0 : parent->second;
    const std::uint64_t started_s = process.start_ticks / ticks;
    const std::uint64_t elapsed_s = up_s > started_s ? up_s - started_s : 0;
    table.add({name, std::to_string(process.pid), std::to_string(parent_inside), std::to_string(process.host_pid),
               clock_text(elapsed_s), tty_text(process.tty), clock_text(process.cpu_ticks / ticks),
               format_bytes(process.rss_bytes), std::string(1, process.state), process.command});
    out.begin_object()
        .field("user", name)
        .field("uid", process.uid)
        .field("pid", process.pid)
        .field("parent_pid", parent_inside);
    out.field("host_pid", process.host_pid)
        .field("elapsed_s", elapsed_s)
        .field("cpu_ms", process.cpu_ticks * 1000 / ticks);
    out.field("rss_bytes", process.rss_bytes)
        .field("state", std::string(1, process.state))
        .field("command", process.command)
        .end_object();
  }
  out.end_array().end_object();
  return context.json() ? print_json(out) : print(table.text());
}

}  // namespace cooper::cli
