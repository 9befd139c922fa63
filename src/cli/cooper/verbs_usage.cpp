// What containers say and use: logs, stats, top.
#include <unistd.h>

#include <algorithm>

#include "base/strings.h"
#include "cli/cooper/command.h"
#include "cli/cooper/log_file.h"
#include "cli/cooper/process_list.h"
#include "cli/cooper/stats.h"
#include "cli/cooper/target.h"
#include "cli/cooper/time_text.h"
#include "io/file.h"
#include "sys/file.h"

namespace cooper::cli {
namespace {

constexpr std::array<Flag, 5> kLogsFlags = {{
    {"follow", 'f', "", "go on until the container ends"},
    {"since", 0, "TIME", "only what is newer: 10m, 2026-01-02T15:04:05Z, or seconds since 1970"},
    {"until", 0, "TIME", "only what is older"},
    {"tail", 'n', "NUMBER", "only the last lines"},
    {"timestamps", 't', "", "the time before each line"},
}};
constexpr std::array<Flag, 3> kStatsFlags = {{
    {"all", 'a', "", "also containers that do not run"},
    {"no-stream", 0, "", "once, not again and again"},
    {"interval", 'i', "SECONDS", "time between two looks (default 1)"},
}};

// Records as lines on our own two streams; written in large pieces.
class LogPrinter {
 public:
  explicit LogPrinter(bool timestamps) : timestamps_(timestamps) {}

  Status add(const LogRecord& record) {
    if (record.to_stderr != to_stderr_) {
      RETURN_IF_ERROR(flush());
      to_stderr_ = record.to_stderr;
    }
    bool& inside = inside_line_[record.to_stderr ? 1 : 0];
    if (timestamps_ && !inside) (buffer_ += record.timestamp) += ' ';
    buffer_ += record.text;
    if (!record.partial) buffer_ += '\n';
    inside = record.partial;
    if (buffer_.size() >= kFlushAt) return flush();
    return {};
  }

  Status flush() {
    const int fd = to_stderr_ ? STDERR_FILENO : STDOUT_FILENO;
    auto written = sys::write_all(BorrowedFd(fd), buffer_);
    buffer_.clear();
    if (!written.ok())
      return std::move(written).error().with(to_stderr_ ? "write to standard error" : "write to standard output");
    return {};
  }

 private:
  static constexpr std::size_t kFlushAt = 64 * 1024;
  bool timestamps_;
  bool to_stderr_ = false;
  bool inside_line_[2] = {false, false};
  std::string buffer_;
};

Result<LogSelection> log_selection(const Args& args) {
  LogSelection selection;
  const std::int64_t now = now_unix_ns();
  for (const auto& [flag, field] : {std::pair{"since", &selection.since_ns}, std::pair{"until", &selection.until_ns}}) {
    const auto text = args.last(flag);
    if (!text) continue;
    auto moment = parse_moment_ns(*text, now);
    if (!moment.ok()) return std::move(moment).error().with("--" + std::string(flag));
    *field = *moment;
  }
  if (const auto text = args.last("tail"); text && *text != "all" && *text != "-1") {
    selection.tail = parse_number<std::uint64_t>(*text);
    if (!selection.tail) return Error(Errc::kInvalidArgument, "--tail " + quoted(*text) + " is no number of lines");
  }
  return selection;
}

Result<bool> has_ended(const pod::Engine& engine, const PodUuid& uuid, const std::string& app) {
  const auto info = engine.info(uuid);
  if (!info.ok()) {
    if (info.error().code() == Errc::kNotFound) return true;  // removed
    return info.error().code() == Errc::kWrongState ? Result<bool>(false)
                                                    : Result<bool>(Error(info.error().code(), info.error().message()));
  }
  if (info->state != pod::State::kRunning) return true;
  // An app without a process may still have output on its way to the log; its exit record comes after that.
  return std::ranges::any_of(info->apps,
                             [&](const pod::AppInfo& one) { return one.name == app && one.exit.has_value(); });
}

Result<int> logs(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(const LogSelection selection, log_selection(args));
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  ASSIGN_OR_RETURN(const Target target, find_target(engine, args.positional().front()));
  ASSIGN_OR_RETURN(const pod::PodInfo info, engine.info(target.uuid));
  ASSIGN_OR_RETURN(const pod::AppInfo* app, select_app(info, target.app));
  ASSIGN_OR_RETURN(const std::vector<std::string> files, engine.log_files(target.uuid, app->name));
  LogPrinter printer(args.enabled("timestamps"));
  Status done;
  if (!args.enabled("follow") || files.empty()) {
    done = read_logs(files, selection, [&](const LogRecord& record) { return printer.add(record); });
  } else {
    FollowOptions follow;
    follow.selection = selection;
    follow.current = current_log(files);
    follow.on_skip = [&] { warn_of_skip(app->name); };
    follow.files = [&]() -> Result<std::vector<std::string>> {
      auto now = engine.log_files(target.uuid, app->name);
      if (!now.ok() && now.error().code() == Errc::kNotFound) return std::vector<std::string>();
      return now;
    };
    const FollowUntil until = {[&] { return has_ended(engine, target.uuid, app->name); },
                               [&] { return printer.flush(); }};
    done = follow_logs(std::move(follow), until, [&](const LogRecord& record) { return printer.add(record); });
  }
  if (done.ok()) done = printer.flush();
  if (!done.ok()) return std::move(done).error();
  return 0;
}

Result<int> stats(const Context& context, const Args& args) {
  StatsOptions options;
  options.all = args.enabled("all");
  options.stream = !args.enabled("no-stream");
  if (const auto text = args.last("interval")) {
    ASSIGN_OR_RETURN(options.interval_ms, parse_timeout_ms("--interval", *text));
    if (options.interval_ms < 100 || options.interval_ms > 3'600'000)
      return Error(Errc::kInvalidArgument, "--interval " + quoted(*text) + " is not between 0.1 s and an hour");
  }
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  for (const std::string& text : args.positional()) {
    ASSIGN_OR_RETURN(Target target, find_target(engine, text));
    options.targets.push_back(std::move(target));
  }
  RETURN_IF_ERROR(run_stats(context, engine, options));
  return 0;
}

Result<int> top(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  ASSIGN_OR_RETURN(const Target target, find_target(engine, args.positional().front()));
  ASSIGN_OR_RETURN(const pod::PodInfo info, engine.info(target.uuid));
  ASSIGN_OR_RETURN(const pod::AppInfo* app, select_app(info, target.app));
  ASSIGN_OR_RETURN(const container::Container container, engine.container(target.uuid, app->name));
  RETURN_IF_ERROR(print_processes(context, container, app->pid));
  return 0;
}

}  // namespace

std::span<const Command> usage_commands() {
  static const std::array<Command, 3> kCommands = {{
      {.path = "logs",
       .usage = "CONTAINER",
       .summary = "print what a container wrote",
       .description = "Its standard output goes to standard output, its standard error to standard error.",
       .flags = {kLogsFlags},
       .min_args = 1,
       .max_args = 1,
       .handler = logs,
       .completes = Completes::kContainers},
      {.path = "stats",
       .usage = "[CONTAINER...]",
       .summary = "show the use of processor, memory and disks",
       .flags = {kStatsFlags},
       .handler = stats,
       .completes = Completes::kRunning},
      {.path = "top",
       .usage = "CONTAINER",
       .summary = "list the processes of a container",
       .min_args = 1,
       .max_args = 1,
       .handler = top,
       .completes = Completes::kRunning},
  }};
  return kCommands;
}

}  // namespace cooper::cli
