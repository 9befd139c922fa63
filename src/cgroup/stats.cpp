#include "base/strings.h"
#include "cgroup/cgroup.h"
#include "cgroup/internal/counters.h"

namespace cooper::cgroup {
namespace {

// "max", and the largest value of v1's page counter, mean unlimited.
std::optional<std::uint64_t> read_limit(const std::string& path) {
  const auto n = parse_number<std::uint64_t>(trim(read_or_empty(path)));
  return n && *n < (std::uint64_t{1} << 62) ? n : std::nullopt;
}

void read_cpu_v1(const std::string& cpu, const std::string& cpuacct, Stats& out) {
  out.cpu_usage_ns = read_number(cpuacct + "/cpuacct.usage");
  out.cpu_user_ns = read_number(cpuacct + "/cpuacct.usage_user");
  out.cpu_system_ns = read_number(cpuacct + "/cpuacct.usage_sys");
  for_each_pair(read_or_empty(cpu + "/cpu.stat"), [&](std::string_view name, std::uint64_t n) {
    if (name == "nr_periods") out.cpu_periods = n;
    if (name == "nr_throttled") out.cpu_throttled_periods = n;
    if (name == "throttled_time") out.cpu_throttled_ns = n;
  });
}

void read_memory_v1(const std::string& memory, Stats& out) {
  out.memory_usage_bytes = read_number(memory + "/memory.usage_in_bytes");
  out.memory_limit_bytes = read_limit(memory + "/memory.limit_in_bytes");
  out.memory_max_usage_bytes = read_number(memory + "/memory.max_usage_in_bytes");
  out.memory_fail_count = read_number(memory + "/memory.failcnt");
  for_each_pair(read_or_empty(memory + "/memory.stat"), [&](std::string_view name, std::uint64_t n) {
    out.memory_raw[std::string(name)] = n;
    if (name == "total_cache") out.memory_cache_bytes = n;
    if (name == "total_rss") out.memory_rss_bytes = n;
    if (name == "total_swap") out.memory_swap_bytes = n;
  });
  for_each_pair(read_or_empty(memory + "/memory.oom_control"), [&](std::string_view name, std::uint64_t n) {
    if (name == "oom_kill") out.oom_kills = n;
  });
}

// "8:0 Read 4096"
void read_io_v1(const std::string& blkio, Stats& out) {
  std::string text = read_or_empty(blkio + "/blkio.throttle.io_service_bytes_recursive");
  if (text.empty()) text = read_or_empty(blkio + "/blkio.throttle.io_service_bytes");
  for (const auto line : split(text, '\n')) {
    const auto fields = split(line, ' ');
    if (fields.size() != 3) continue;
    const auto n = parse_number<std::uint64_t>(fields[2]).value_or(0);
    if (fields[1] == "Read") out.io_read_bytes += n;
    if (fields[1] == "Write") out.io_write_bytes += n;
  }
}

void read_v2(const std::string& directory, Stats& out) {
  for_each_pair(read_or_empty(directory + "/cpu.stat"), [&](std::string_view name, std::uint64_t n) {
    if (name == "usage_usec") out.cpu_usage_ns = n * 1000;
    if (name == "user_usec") out.cpu_user_ns = n * 1000;
    if (name == "system_usec") out.cpu_system_ns = n * 1000;
    if (name == "nr_periods") out.cpu_periods = n;
    if (name == "nr_throttled") out.cpu_throttled_periods = n;
    if (name == "throttled_usec") out.cpu_throttled_ns = n * 1000;
  });
  out.memory_usage_bytes = read_number(directory + "/memory.current");
  out.memory_limit_bytes = read_limit(directory + "/memory.max");
  out.memory_max_usage_bytes = read_number(directory + "/memory.peak");
  out.memory_swap_bytes = read_number(directory + "/memory.swap.current");
  for_each_pair(read_or_empty(directory + "/memory.stat"), [&](std::string_view name, std::uint64_t n) {
    out.memory_raw[std::string(name)] = n;
    if (name == "file") out.memory_cache_bytes = n;
    if (name == "anon") out.memory_rss_bytes = n;
  });
  for_each_pair(read_or_empty(directory + "/memory.events"), [&](std::string_view name, std::uint64_t n) {
    if (name == "oom_kill") out.oom_kills = n;
    if (name == "max") out.memory_fail_count = n;
  });
  // "8:0 rbytes=1 wbytes=2 rios=3 ..."
  const std::string io = read_or_empty(directory + "/io.stat");
  for (const auto line : split(io, '\n')) {
    for (const auto field : split(line, ' ')) {
      const auto pair = split_once(field, '=');
      if (!pair) continue;
      const auto n = parse_number<std::uint64_t>(pair->second).value_or(0);
      if (pair->first == "rbytes") out.io_read_bytes += n;
      if (pair->first == "wbytes") out.io_write_bytes += n;
    }
  }
}

}  // namespace

Result<Stats> read_stats(const Group& group) {
  const auto directories = group.directories();
  if (directories.empty()) return Error(Errc::kUnsupported, "no cgroup hierarchy is available to read statistics from");
  Stats out;
  const auto directory = [&](const char* controller) -> const std::string* {
    const auto found = directories.find(controller);
    return found == directories.end() ? nullptr : &found->second;
  };
  const std::string* pids = directory("pids");
  if (directories.size() == 1 && directory("") != nullptr) {
    read_v2(*directory(""), out);
    pids = directory("");
  } else {
    const std::string none;
    const std::string* cpu = directory("cpu");
    const std::string* cpuacct = directory("cpuacct");
    read_cpu_v1(cpu != nullptr ? *cpu : none, cpuacct != nullptr ? *cpuacct : none, out);
    if (const auto* memory = directory("memory")) read_memory_v1(*memory, out);
    if (const auto* blkio = directory("blkio")) read_io_v1(*blkio, out);
  }
  if (pids != nullptr) {
    out.pids_current = read_number(*pids + "/pids.current");
    out.pids_limit = read_limit(*pids + "/pids.max").value_or(0);
  }
  return out;
}

}  // namespace cooper::cgroup
