#include "cli/cooper/stats.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "base/strings.h"
#include "cli/cooper/time_text.h"
#include "io/event_loop.h"
#include "io/file.h"
#include "io/tty.h"
#include "sys/process.h"

namespace cooper::cli {
namespace {

struct Sample {
  std::string id, name;
  bool running = false;
  cgroup::Stats stats;
  double cpu_percent = 0;
};

// Usage at the last look, to tell the share since then.
struct Before {
  std::uint64_t usage_ns = 0;
  std::int64_t at_ns = 0;
};
using History = std::map<std::string, Before>;

std::uint64_t host_memory_bytes() {
  const auto text = io::read_file("/proc/meminfo");
  if (!text.ok()) return 0;
  for (const std::string_view line : split(*text, '\n')) {
    if (!line.starts_with("MemTotal:")) continue;
    std::string_view number = trim(line.substr(9));
    number = number.substr(0, number.find(' '));
    return parse_number<std::uint64_t>(number).value_or(0) * 1024;
  }
  return 0;
}

std::int64_t monotonic_ns() {
  struct timespec now = {};
  (void)::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * kNsPerSecond + now.tv_nsec;
}

bool is_wanted(const Row& row, const StatsOptions& options) {
  if (options.targets.empty()) return options.all || row.app->state == "running" || row.app->state == "paused";
  return std::ranges::any_of(options.targets, [&](const Target& target) {
    return target.uuid == row.pod->uuid && (target.app.empty() || target.app == row.app->name);
  });
}

Result<std::vector<pod::PodInfo>> wanted_pods(const pod::Engine& engine, const StatsOptions& options) {
  if (options.targets.empty()) return engine.list();
  std::vector<pod::PodInfo> pods;
  for (const Target& target : options.targets) {
    if (std::ranges::any_of(pods, [&](const pod::PodInfo& pod) { return pod.uuid == target.uuid; })) continue;
    auto info = engine.info(target.uuid);
    if (!info.ok() && info.error().code() == Errc::kNotFound) continue;  // gone since
    if (!info.ok()) return std::move(info).error();
    pods.push_back(std::move(info).value());
  }
  return pods;
}

Result<std::vector<Sample>> look(const pod::Engine& engine, const StatsOptions& options, std::uint64_t host_memory,
                                 History& history) {
  ASSIGN_OR_RETURN(const std::vector<pod::PodInfo> pods, wanted_pods(engine, options));
  std::vector<Sample> samples;
  for (const Row& row : rows(pods)) {
    if (!is_wanted(row, options)) continue;
    Sample sample;
    sample.id = row.pod->uuid.str();
    sample.name = row.name();
    // What ends while it is being looked at has no numbers.
    const auto container = engine.container(row.pod->uuid, row.app->name);
    auto stats = container.ok() ? container->stats() : Result<cgroup::Stats>(cgroup::Stats{});
    if (stats.ok() && (row.app->state == "running" || row.app->state == "paused")) {
      sample.running = true;
      sample.stats = std::move(stats).value();
      sample.stats.memory_limit_bytes = std::min(sample.stats.memory_limit_bytes.value_or(host_memory), host_memory);
      Before& before = history[sample.id + "/" + row.app->name];
      const std::int64_t now_ns = monotonic_ns();
      if (before.at_ns != 0)
        sample.cpu_percent = cpu_percent(before.usage_ns, sample.stats.cpu_usage_ns, now_ns - before.at_ns);
      before = {sample.stats.cpu_usage_ns, now_ns};
    }
    samples.push_back(std::move(sample));
  }
  return samples;
}

double memory_percent(const cgroup::Stats& stats) {
  const std::uint64_t limit = stats.memory_limit_bytes.value_or(0);
  return limit == 0 ? 0 : 100.0 * static_cast<double>(stats.memory_usage_bytes) / static_cast<double>(limit);
}

std::string table_of(const std::vector<Sample>& samples) {
  Table table({"ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "BLOCK IO", "PIDS"});
  for (const Sample& sample : samples) {
    const cgroup::Stats& s = sample.stats;
    if (!sample.running) {
      table.add({sample.id.substr(0, 8), sample.name, "--", "-- / --", "--", "-- / --", "--"});
      continue;
    }
    table.add({sample.id.substr(0, 8), sample.name, fmt::format("{:.2f}%", sample.cpu_percent),
               format_bytes(s.memory_usage_bytes) + " / " + format_bytes(s.memory_limit_bytes.value_or(0)),
               fmt::format("{:.2f}%", memory_percent(s)),
               format_bytes(s.io_read_bytes) + " / " + format_bytes(s.io_write_bytes), std::to_string(s.pids_current)});
  }
  return table.text();
}

std::string json_of(const Context& context, const std::vector<Sample>& samples) {
  codec::json::Writer out = context.json_writer();
  out.begin_object().key("stats").begin_array();
  for (const Sample& sample : samples) {
    const cgroup::Stats& s = sample.stats;
    out.begin_object().field("id", sample.id).field("name", sample.name).field("running", sample.running);
    if (sample.running) {
      out.field("cpu_percent", sample.cpu_percent).field("cpu_usage_ns", s.cpu_usage_ns);
      out.field("cpu_user_ns", s.cpu_user_ns).field("cpu_system_ns", s.cpu_system_ns);
      out.field("cpu_throttled_periods", s.cpu_throttled_periods).field("cpu_throttled_ns", s.cpu_throttled_ns);
      out.field("memory_usage_bytes", s.memory_usage_bytes)
          .field("memory_limit_bytes", s.memory_limit_bytes.value_or(0));
      out.field("memory_percent", memory_percent(s)).field("memory_max_usage_bytes", s.memory_max_usage_bytes);
      out.field("oom_kills", s.oom_kills)
          .field("io_read_bytes", s.io_read_bytes)
          .field("io_write_bytes", s.io_write_bytes);
      out.field("pids", s.pids_current);
      out.key("pids_limit");
      s.pids_limit == 0 ? out.null() : out.number(s.pids_limit);
    }
    out.end_object();
  }
  out.end_array().end_object();
  return out.take() + "\n";
}

// False when nobody reads standard output any more.
bool pause_between(int interval_ms) {
  const std::int64_t until = io::monotonic_ms() + interval_ms;
  while (true) {
    const std::int64_t left = until - io::monotonic_ms();
    if (left <= 0) return true;
    struct pollfd reader = {STDOUT_FILENO, 0, 0};
    if (::poll(&reader, 1, static_cast<int>(left)) > 0 && (reader.revents & POLLERR) != 0) return false;
  }
}

}  // namespace

double cpu_percent(std::uint64_t usage_before_ns, std::uint64_t usage_now_ns, std::int64_t elapsed_ns) {
  if (elapsed_ns <= 0 || usage_now_ns <= usage_before_ns) return 0;
  return 100.0 * static_cast<double>(usage_now_ns - usage_before_ns) / static_cast<double>(elapsed_ns);
}

Status run_stats(const Context& context, const pod::Engine& engine, const StatsOptions& options) {
  constexpr int kFirstGapMs = 200;  // the share of a processor needs two looks
  const std::uint64_t host_memory = host_memory_bytes();
  const bool redraw = options.stream && !context.json() && io::is_terminal(BorrowedFd(STDOUT_FILENO));
  History history;
  auto first = look(engine, options, host_memory, history);
  if (!first.ok()) return std::move(first).error();
  int gap_ms = kFirstGapMs;
  do {
    if (!pause_between(gap_ms)) return {};
    ASSIGN_OR_RETURN(const std::vector<Sample> samples, look(engine, options, host_memory, history));
    // All that were asked for have been removed.
    if (samples.empty() && !options.targets.empty()) return {};
    const std::string text = context.json() ? json_of(context, samples) : table_of(samples);
    RETURN_IF_ERROR(print(redraw ? "\x1b[H\x1b[2J" + text : text));
    gap_ms = options.interval_ms;
  } while (options.stream);
  return {};
}

}  // namespace cooper::cli
