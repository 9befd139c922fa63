#include <poll.h>

#include "base/strings.h"
#include "cli/coop/commands.h"
#include "codec/json.h"

namespace cooper::cli::coop {
namespace {

using codec::json::Writer;

void write_cpu(Writer& out, const cgroup::Stats& stats) {
  out.key("cpu").begin_object();
  out.key("usage")
      .begin_object()
      .field("total", stats.cpu_usage_ns)
      .field("kernel", stats.cpu_system_ns)
      .field("user", stats.cpu_user_ns)
      .end_object();
  out.key("throttling")
      .begin_object()
      .field("periods", stats.cpu_periods)
      .field("throttledPeriods", stats.cpu_throttled_periods);
  out.field("throttledTime", stats.cpu_throttled_ns).end_object();
  out.end_object();
}

void write_memory(Writer& out, const cgroup::Stats& stats) {
  out.key("memory").begin_object().field("cache", stats.memory_cache_bytes);
  out.key("usage").begin_object().field("limit", stats.memory_limit_bytes).field("usage", stats.memory_usage_bytes);
  out.field("max", stats.memory_max_usage_bytes).field("failcnt", stats.memory_fail_count).end_object();
  out.key("swap").begin_object().field("usage", stats.memory_swap_bytes).end_object();
  out.key("raw").begin_object();
  for (const auto& [name, value] : stats.memory_raw) out.field(name, value);
  out.end_object().end_object();
}

// The shape of runc's events: type, id, data.
std::string stats_line(const std::string& id, const cgroup::Stats& stats) {
  Writer out;
  out.begin_object().field("type", "stats").field("id", id);
  out.key("data").begin_object();
  write_cpu(out, stats);
  write_memory(out, stats);
  out.key("pids").begin_object().field("current", stats.pids_current);
  if (stats.pids_limit != 0) out.field("limit", stats.pids_limit);
  out.end_object();
  out.key("blkio").begin_object();
  out.key("ioServiceBytesRecursive").begin_array();
  out.begin_object().field("op", "Read").field("value", stats.io_read_bytes).end_object();
  out.begin_object().field("op", "Write").field("value", stats.io_write_bytes).end_object();
  out.end_array().end_object();
  out.end_object().end_object();
  return out.take() + "\n";
}

// "5s", "500ms", "1m": the durations that callers write.
Result<int> interval_ms(std::string_view text) {
  struct Unit {
    std::string_view suffix;
    int ms;
  };
  for (const Unit unit : {Unit{"ms", 1}, Unit{"s", 1000}, Unit{"m", 60000}}) {
    if (!text.ends_with(unit.suffix)) continue;
    const auto number = parse_number<int>(text.substr(0, text.size() - unit.suffix.size()));
    if (number && *number > 0 && *number <= 24 * 3600 * 1000 / unit.ms) return *number * unit.ms;
  }
  return Error(Errc::kInvalidArgument, "--interval " + quoted(text) + " must be a duration such as 5s or 500ms");
}

}  // namespace

Result<int> run_events(const Call& call) {
  ASSIGN_OR_RETURN(const int interval, interval_ms(call.arguments.value("interval", "5s")));
  ASSIGN_OR_RETURN(const auto container, call.load());
  if (call.arguments.flag("stats")) {
    ASSIGN_OR_RETURN(const auto stats, container.stats());
    RETURN_IF_ERROR(print(stats_line(call.id(), stats)));
    return 0;
  }
  ASSIGN_OR_RETURN(const UniqueFd init, container.init_pidfd());
  while (true) {
    const auto stats = container.stats();
    if (!stats.ok()) return 0;  // the container has ended
    RETURN_IF_ERROR(print(stats_line(call.id(), *stats)));
    pollfd wait = {init.get(), POLLIN, 0};
    if (::poll(&wait, 1, interval) > 0) return 0;
  }
}

}  // namespace cooper::cli::coop
