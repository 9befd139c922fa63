#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "cli/coop/commands.h"
#include "codec/json.h"
#include "io/file.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cooper::cli::coop {
namespace {

// Output of ps(1) with the given options.
Result<std::string> run_ps_program(std::vector<std::string> words) {
  words.insert(words.begin(), "ps");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  ASSIGN_OR_RETURN(auto pipe, sys::pipe2());
  posix_spawn_file_actions_t actions;
  if (const int e = ::posix_spawn_file_actions_init(&actions); e != 0) return Error::from_errno(e, "run ps");
  (void)::posix_spawn_file_actions_adddup2(&actions, pipe.write.get(), STDOUT_FILENO);
  pid_t pid = 0;
  const int failed = ::posix_spawnp(&pid, "ps", &actions, nullptr, argv.data(), environ);
  (void)::posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return Error::from_errno(failed, "run ps");
  pipe.write.reset();
  auto text = io::read_all(pipe.read, std::size_t{16} << 20);
  pipe.read.reset();
  ASSIGN_OR_RETURN(const auto status, sys::waitpid(pid));
  if (!text.ok()) return std::move(text).error().with("read the output of ps");
  if (status.shell_code() != 0)
    return Error(Errc::kSystem, "ps failed with exit status " + std::to_string(status.shell_code()));
  return text;
}

std::vector<std::string_view> columns(std::string_view line) {
  std::vector<std::string_view> out;
  for (const std::string_view word : split(line, ' ')) {
    if (!word.empty()) out.push_back(word);
  }
  return out;
}

// The header and the rows of the container's processes.
Result<std::string> only(std::string_view table, const std::set<pid_t>& pids) {
  const auto lines = split(table, '\n');
  const auto header = columns(lines.front());
  const auto pid_column = std::find(header.begin(), header.end(), "PID");
  if (pid_column == header.end()) {
    return Error(Errc::kInvalidArgument, "ps shows no column PID with these options").with_hint("add it: -o pid,...");
  }
  const auto index = static_cast<std::size_t>(pid_column - header.begin());
  std::string out = std::string(lines.front()) + "\n";
  for (const std::string_view line : lines) {
    const auto row = columns(line);
    if (row.size() <= index) continue;
    const auto pid = parse_number<pid_t>(row[index]);
    if (pid && pids.contains(*pid)) out += std::string(line) + "\n";
  }
  return out;
}

}  // namespace

Result<int> run_ps(const Call& call) {
  const std::string format = call.arguments.value("format", "table");
  if (format != "table" && format != "json")
    return Error(Errc::kInvalidArgument, "--format must be table or json, not " + quoted(format));
  ASSIGN_OR_RETURN(const auto container, call.load());
  ASSIGN_OR_RETURN(const auto pids, container.processes());
  if (format == "json") {
    if (pids.empty()) {
      RETURN_IF_ERROR(print("null\n"));  // as runc
      return 0;
    }
    codec::json::Writer out;
    out.begin_array();
    for (const pid_t pid : pids) out.number(pid);
    RETURN_IF_ERROR(print(out.end_array().take() + "\n"));
    return 0;
  }
  std::vector<std::string> options(call.arguments.positional().begin() + 1, call.arguments.positional().end());
  if (options.empty()) options = {"-ef"};
  ASSIGN_OR_RETURN(const std::string table, run_ps_program(std::move(options)));
  ASSIGN_OR_RETURN(const std::string rows, only(table, {pids.begin(), pids.end()}));
  RETURN_IF_ERROR(print(rows));
  return 0;
}

}  // namespace cooper::cli::coop
