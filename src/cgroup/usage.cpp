#include "cgroup/usage.h"

#include <fcntl.h>

#include <algorithm>

#include "cgroup/internal/counters.h"
#include "sys/file.h"

namespace cooper::cgroup {
namespace {

constexpr std::size_t kMaxIds = 4096;
constexpr std::uint64_t kUnlimited = UINT64_MAX;

// "max" is the largest number, as runtimes have always printed it.
std::uint64_t read_maximum(const std::string& path) {
  const std::string text = read_or_empty(path);
  if (trim(text) == "max") return kUnlimited;
  return parse_number<std::uint64_t>(trim(text)).value_or(0);
}

PressureLine parse_pressure_line(std::string_view line) {
  PressureLine out;
  for (const std::string_view word : split(line, ' ')) {
    const auto pair = split_once(word, '=');
    if (!pair) continue;
    if (pair->first == "avg10") out.avg10 = parse_number<double>(pair->second).value_or(0);
    if (pair->first == "avg60") out.avg60 = parse_number<double>(pair->second).value_or(0);
    if (pair->first == "avg300") out.avg300 = parse_number<double>(pair->second).value_or(0);
    if (pair->first == "total") out.total = parse_number<std::uint64_t>(pair->second).value_or(0);
  }
  return out;
}

void read_cpu_v1(const std::string* cpu, const std::string* cpuacct, Usage::Cpu& out) {
  if (cpu != nullptr) {
    for_each_pair(read_or_empty(*cpu + "/cpu.stat"), [&](std::string_view name, std::uint64_t n) {
      if (name == "nr_periods") out.periods = n;
      if (name == "nr_throttled") out.throttled_periods = n;
      if (name == "throttled_time") out.throttled_ns = n;
      if (name == "nr_bursts") out.bursts = n;
      if (name == "burst_time") out.burst_ns = n;
    });
  }
  if (cpuacct == nullptr) return;
  out.total_ns = read_number(*cpuacct + "/cpuacct.usage");
  out.user_ns = read_number(*cpuacct + "/cpuacct.usage_user");
  out.kernel_ns = read_number(*cpuacct + "/cpuacct.usage_sys");
  const std::string percpu = read_or_empty(*cpuacct + "/cpuacct.usage_percpu");
  for (const std::string_view word : split(trim(percpu), ' ')) {
    if (const auto n = parse_number<std::uint64_t>(word)) out.percpu_ns.push_back(*n);
  }
  // A heading, then "0 USER SYSTEM".
  const std::string all = read_or_empty(*cpuacct + "/cpuacct.usage_all");
  for (const std::string_view line : split(all, '\n')) {
    const auto words = split(line, ' ');
    if (words.size() != 3 || !parse_number<unsigned>(words[0])) continue;
    out.percpu_user_ns.push_back(parse_number<std::uint64_t>(words[1]).value_or(0));
    out.percpu_kernel_ns.push_back(parse_number<std::uint64_t>(words[2]).value_or(0));
  }
}

void read_cpuset_v1(const std::string& directory, Usage::Cpuset& out) {
  const auto number = [&](const char* name) { return read_number(directory + "/cpuset." + name); };
  out.cpus = parse_id_list(read_or_empty(directory + "/cpuset.cpus"));
  out.mems = parse_id_list(read_or_empty(directory + "/cpuset.mems"));
  out.cpu_exclusive = number("cpu_exclusive");
  out.mem_hardwall = number("mem_hardwall");
  out.mem_exclusive = number("mem_exclusive");
  out.memory_migrate = number("memory_migrate");
  out.memory_spread_page = number("memory_spread_page");
  out.memory_spread_slab = number("memory_spread_slab");
  out.memory_pressure = number("memory_pressure");
  out.sched_load_balance = number("sched_load_balance");
  const std::string level = read_or_empty(directory + "/cpuset.sched_relax_domain_level");
  out.sched_relax_domain_level = parse_number<std::int64_t>(trim(level)).value_or(0);
}

MemoryCounter memory_counter_v1(const std::string& directory, const std::string& prefix) {
  const std::string base = directory + "/" + prefix + ".";
  return {read_number(base + "limit_in_bytes"), read_number(base + "usage_in_bytes"),
          read_number(base + "max_usage_in_bytes"), read_number(base + "failcnt")};
}

void read_memory_v1(const std::string& directory, Usage::Memory& out) {
  out.usage = memory_counter_v1(directory, "memory");
  out.swap = memory_counter_v1(directory, "memory.memsw");
  out.kernel = memory_counter_v1(directory, "memory.kmem");
  out.kernel_tcp = memory_counter_v1(directory, "memory.kmem.tcp");
  for_each_pair(read_or_empty(directory + "/memory.stat"),
                [&](std::string_view name, std::uint64_t n) { out.raw[std::string(name)] = n; });
  if (const auto cache = out.raw.find("cache"); cache != out.raw.end()) out.cache = cache->second;
}

// The counters of the scheduler that has any: BFQ, the old CFQ, or the throttling layer that is always there.
void read_io_v1(const std::string& directory, Usage::Io& out) {
  const auto read = [&](const std::string& prefix, const char* name) {
    return parse_io_counters(read_or_empty(directory + "/" + prefix + name + "_recursive"));
  };
  std::string prefix = "blkio.bfq.";
  out.serviced = read(prefix, "io_serviced");
  if (out.serviced.empty()) {
    prefix = "blkio.";
    out.serviced = read(prefix, "io_serviced");
  }
  if (out.serviced.empty()) {
    out.serviced = read("blkio.throttle.", "io_serviced");
    out.service_bytes = read("blkio.throttle.", "io_service_bytes");
    return;
  }
  out.service_bytes = read(prefix, "io_service_bytes");
  out.queued = read(prefix, "io_queued");
  out.service_time = read(prefix, "io_service_time");
  out.wait_time = read(prefix, "io_wait_time");
  out.merged = read(prefix, "io_merged");
  out.time = read(prefix, "time");
  out.sectors = read(prefix, "sectors");
}

// Files "hugetlb.<size>.<what>"; reservations are counted where the kernel counts them, as that is what limits act on.
void read_hugetlb(const std::string& directory, bool v2, Usage& out) {
  const auto dir = sys::openat(sys::kCwd, directory, O_RDONLY | O_DIRECTORY);
  if (!dir.ok()) return;
  const auto names = sys::list_directory(*dir);
  if (!names.ok()) return;
  const std::string_view suffix = v2 ? ".current" : ".usage_in_bytes";
  for (const std::string& name : *names) {
    if (!name.starts_with("hugetlb.") || !name.ends_with(suffix)) continue;
    std::string size = name.substr(8, name.size() - 8 - suffix.size());
    if (size.find('.') != std::string::npos) continue;  // "2MB.rsvd"
    std::string base = "hugetlb." + size;
    if (std::ranges::find(*names, base + ".rsvd" + std::string(suffix)) != names->end()) base += ".rsvd";
    const std::string path = directory + "/" + base;
    HugetlbCounter counter;
    counter.usage = read_number(path + std::string(suffix));
    if (v2) {
      for_each_pair(read_or_empty(directory + "/hugetlb." + size + ".events"), [&](std::string_view what, auto n) {
        if (what == "max") counter.failcnt = n;
      });
    } else {
      counter.max = read_number(path + ".max_usage_in_bytes");
      counter.failcnt = read_number(path + ".failcnt");
    }
    out.hugetlb[size] = counter;
  }
}

void read_rdma(const std::string& directory, Usage& out) {
  out.rdma_current = parse_rdma(read_or_empty(directory + "/rdma.current"));
  out.rdma_limit = parse_rdma(read_or_empty(directory + "/rdma.max"));
}

void read_pids(const std::string& directory, Usage::Pids& out) {
  out.current = read_number(directory + "/pids.current");
  out.limit = read_number(directory + "/pids.max");
}

void read_cpu_v2(const std::string& directory, Usage::Cpu& out) {
  for_each_pair(read_or_empty(directory + "/cpu.stat"), [&](std::string_view name, std::uint64_t n) {
    if (name == "usage_usec") out.total_ns = n * 1000;
    if (name == "user_usec") out.user_ns = n * 1000;
    if (name == "system_usec") out.kernel_ns = n * 1000;
    if (name == "nr_periods") out.periods = n;
    if (name == "nr_throttled") out.throttled_periods = n;
    if (name == "throttled_usec") out.throttled_ns = n * 1000;
    if (name == "nr_bursts") out.bursts = n;
    if (name == "burst_usec") out.burst_ns = n * 1000;
  });
  out.pressure = parse_pressure(read_or_empty(directory + "/cpu.pressure"));
}

void read_memory_v2(const std::string& directory, Usage::Memory& out) {
  for_each_pair(read_or_empty(directory + "/memory.stat"),
                [&](std::string_view name, std::uint64_t n) { out.raw[std::string(name)] = n; });
  if (const auto file = out.raw.find("file"); file != out.raw.end()) out.cache = file->second;
  out.usage = {read_maximum(directory + "/memory.max"), read_number(directory + "/memory.current"),
               read_number(directory + "/memory.peak"), 0};
  for_each_pair(read_or_empty(directory + "/memory.events"), [&](std::string_view name, std::uint64_t n) {
    if (name == "max") out.usage.failcnt = n;
  });
  out.swap = {read_maximum(directory + "/memory.swap.max"), read_number(directory + "/memory.swap.current"), 0, 0};
  out.swap.usage += out.usage.usage;
  if (out.swap.limit != kUnlimited)
    out.swap.limit = out.usage.limit == kUnlimited ? kUnlimited : out.swap.limit + out.usage.limit;
  out.pressure = parse_pressure(read_or_empty(directory + "/memory.pressure"));
}

// "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6"
void read_io_v2(const std::string& directory, Usage::Io& out) {
  const std::string text = read_or_empty(directory + "/io.stat");
  for (const std::string_view line : split(text, '\n')) {
    const auto words = split(line, ' ');
    const auto device = split_once(words.front(), ':');
    const auto major = device ? parse_number<std::uint64_t>(device->first) : std::nullopt;
    const auto minor = device ? parse_number<std::uint64_t>(device->second) : std::nullopt;
    if (!major || !minor) continue;
    for (const std::string_view word : words) {
      const auto pair = split_once(word, '=');
      if (!pair || pair->first.empty()) continue;
      const char* op = pair->first[0] == 'r' ? "Read" : pair->first[0] == 'w' ? "Write" : "Discard";
      const auto value = parse_number<std::uint64_t>(pair->second).value_or(0);
      const std::string_view what = pair->first.substr(1);
      if (what == "bytes") out.service_bytes.push_back({*major, *minor, op, value});
      if (what == "ios") out.serviced.push_back({*major, *minor, op, value});
    }
  }
  out.pressure = parse_pressure(read_or_empty(directory + "/io.pressure"));
}

void read_v2(const std::string& directory, Usage& out) {
  read_cpu_v2(directory, out.cpu);
  out.cpuset.cpus = parse_id_list(read_or_empty(directory + "/cpuset.cpus.effective"));
  out.cpuset.mems = parse_id_list(read_or_empty(directory + "/cpuset.mems.effective"));
  read_memory_v2(directory, out.memory);
  read_pids(directory, out.pids);
  read_io_v2(directory, out.io);
  read_hugetlb(directory, true, out);
  read_rdma(directory, out);
}

}  // namespace

std::optional<Pressure> parse_pressure(std::string_view text) {
  std::optional<Pressure> out;
  for (const std::string_view line : split(text, '\n')) {
    const bool some = line.starts_with("some ");
    if (!some && !line.starts_with("full ")) continue;
    if (!out) out.emplace();
    (some ? out->some : out->full) = parse_pressure_line(line);
  }
  return out;
}

std::vector<std::uint16_t> parse_id_list(std::string_view text) {
  std::vector<std::uint16_t> out;
  for (const std::string_view part : split(trim(text), ',')) {
    const auto range = split_once(part, '-');
    const auto first = parse_number<std::uint16_t>(range ? range->first : part);
    const auto last = range ? parse_number<std::uint16_t>(range->second) : first;
    if (!first || !last) continue;
    for (unsigned id = *first; id <= *last && out.size() < kMaxIds; ++id) out.push_back(static_cast<std::uint16_t>(id));
  }
  return out;
}

std::vector<IoCounter> parse_io_counters(std::string_view text) {
  std::vector<IoCounter> out;
  for (const std::string_view line : split(text, '\n')) {
    const auto words = split(line, ' ');
    if (words.size() < 2 || words.size() > 3) continue;
    const auto device = split_once(words[0], ':');
    if (!device) continue;  // "Total 123"
    const auto major = parse_number<std::uint64_t>(device->first);
    const auto minor = parse_number<std::uint64_t>(device->second);
    const auto value = parse_number<std::uint64_t>(words.back());
    if (!major || !minor || !value) continue;
    out.push_back({*major, *minor, words.size() == 3 ? std::string(words[1]) : std::string(), *value});
  }
  return out;
}

std::vector<RdmaCounter> parse_rdma(std::string_view text) {
  std::vector<RdmaCounter> out;
  for (const std::string_view line : split(text, '\n')) {
    const auto words = split(line, ' ');
    if (words.size() < 2 || words[0].empty()) continue;
    RdmaCounter counter;
    counter.device = words[0];
    for (const std::string_view word : words) {
      const auto pair = split_once(word, '=');
      if (!pair) continue;
      const std::uint64_t n =
          pair->second == "max" ? std::uint64_t{UINT32_MAX} : parse_number<std::uint64_t>(pair->second).value_or(0);
      if (pair->first == "hca_handle") counter.hca_handles = n;
      if (pair->first == "hca_object") counter.hca_objects = n;
    }
    out.push_back(std::move(counter));
  }
  return out;
}

Result<Usage> read_usage(const Group& group) {
  const auto directories = group.directories();
  if (directories.empty()) return Error(Errc::kUnsupported, "no cgroup hierarchy is available to read statistics from");
  const auto find = [&](const char* controller) -> const std::string* {
    const auto found = directories.find(controller);
    return found == directories.end() ? nullptr : &found->second;
  };
  Usage out;
  if (directories.size() == 1 && find("") != nullptr) {
    read_v2(*find(""), out);
    return out;
  }
  read_cpu_v1(find("cpu"), find("cpuacct"), out.cpu);
  if (const auto* directory = find("cpuset")) read_cpuset_v1(*directory, out.cpuset);
  if (const auto* directory = find("memory")) read_memory_v1(*directory, out.memory);
  if (const auto* directory = find("pids")) read_pids(*directory, out.pids);
  if (const auto* directory = find("blkio")) read_io_v1(*directory, out.io);
  if (const auto* directory = find("hugetlb")) read_hugetlb(*directory, false, out);
  if (const auto* directory = find("rdma")) read_rdma(*directory, out);
  return out;
}

}  // namespace cooper::cgroup
