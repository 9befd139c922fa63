#include "cli/coop/usage_json.h"

#include <array>
#include <limits>

#include "base/strings.h"
#include "codec/json.h"

namespace cooper::cli::coop {
namespace {

using codec::json::Writer;

// Members that are zero are left out where runc leaves them out.
void nonzero(Writer& out, std::string_view name, std::uint64_t n) {
  if (n != 0) out.field(name, n);
}

void numbers(Writer& out, std::string_view name, const auto& values) {
  if (values.empty()) return;
  out.key(name).begin_array();
  for (const auto n : values) out.number(std::uint64_t{n});
  out.end_array();
}

void write_pressure(Writer& out, const std::optional<cgroup::Pressure>& pressure) {
  if (!pressure) return;
  const auto line = [&](std::string_view name, const cgroup::PressureLine& values) {
    out.key(name).begin_object().field("avg10", values.avg10).field("avg60", values.avg60);
    out.field("avg300", values.avg300).field("total", values.total).end_object();
  };
  out.key("psi").begin_object();
  line("some", pressure->some);
  line("full", pressure->full);
  out.end_object();
}

void write_cpu(Writer& out, const cgroup::Usage::Cpu& cpu) {
  out.key("cpu").begin_object().key("usage").begin_object();
  nonzero(out, "total", cpu.total_ns);
  numbers(out, "percpu", cpu.percpu_ns);
  numbers(out, "percpu_kernel", cpu.percpu_kernel_ns);
  numbers(out, "percpu_user", cpu.percpu_user_ns);
  out.field("kernel", cpu.kernel_ns).field("user", cpu.user_ns).end_object();
  out.key("throttling").begin_object();
  nonzero(out, "periods", cpu.periods);
  nonzero(out, "throttledPeriods", cpu.throttled_periods);
  nonzero(out, "throttledTime", cpu.throttled_ns);
  out.end_object();
  if (cpu.bursts != 0 || cpu.burst_ns != 0)
    out.key("burst").begin_object().field("burstsPeriods", cpu.bursts).field("burstTime", cpu.burst_ns).end_object();
  write_pressure(out, cpu.pressure);
  out.end_object();
}

void write_cpuset(Writer& out, const cgroup::Usage::Cpuset& set) {
  out.key("cpuset").begin_object();
  numbers(out, "cpus", set.cpus);
  out.field("cpu_exclusive", set.cpu_exclusive);
  numbers(out, "mems", set.mems);
  out.field("mem_hardwall", set.mem_hardwall).field("mem_exclusive", set.mem_exclusive);
  out.field("memory_migrate", set.memory_migrate).field("memory_spread_page", set.memory_spread_page);
  out.field("memory_spread_slab", set.memory_spread_slab).field("memory_pressure", set.memory_pressure);
  out.field("sched_load_balance", set.sched_load_balance);
  out.field("sched_relax_domain_level", set.sched_relax_domain_level).end_object();
}

void write_counter(Writer& out, std::string_view name, const cgroup::MemoryCounter& counter) {
  out.key(name).begin_object().field("limit", counter.limit);
  nonzero(out, "usage", counter.usage);
  nonzero(out, "max", counter.max);
  out.field("failcnt", counter.failcnt).end_object();
}

void write_memory(Writer& out, const cgroup::Usage::Memory& memory) {
  out.key("memory").begin_object();
  nonzero(out, "cache", memory.cache);
  write_counter(out, "usage", memory.usage);
  write_counter(out, "swap", memory.swap);
  write_counter(out, "kernel", memory.kernel);
  write_counter(out, "kernelTCP", memory.kernel_tcp);
  if (!memory.raw.empty()) {
    out.key("raw").begin_object();
    for (const auto& [name, value] : memory.raw) out.field(name, value);
    out.end_object();
  }
  write_pressure(out, memory.pressure);
  out.end_object();
}

void write_io(Writer& out, const cgroup::Usage::Io& io) {
  const auto list = [&](std::string_view name, const std::vector<cgroup::IoCounter>& counters) {
    if (counters.empty()) return;
    out.key(name).begin_array();
    for (const cgroup::IoCounter& counter : counters) {
      out.begin_object();
      nonzero(out, "major", counter.major);
      nonzero(out, "minor", counter.minor);
      if (!counter.op.empty()) out.field("op", counter.op);
      nonzero(out, "value", counter.value);
      out.end_object();
    }
    out.end_array();
  };
  out.key("blkio").begin_object();
  list("ioServiceBytesRecursive", io.service_bytes);
  list("ioServicedRecursive", io.serviced);
  list("ioQueueRecursive", io.queued);
  list("ioServiceTimeRecursive", io.service_time);
  list("ioWaitTimeRecursive", io.wait_time);
  list("ioMergedRecursive", io.merged);
  list("ioTimeRecursive", io.time);
  list("sectorsRecursive", io.sectors);
  write_pressure(out, io.pressure);
  out.end_object();
}

void write_hugetlb(Writer& out, const std::map<std::string, cgroup::HugetlbCounter>& sizes) {
  out.key("hugetlb").begin_object();
  for (const auto& [size, counter] : sizes) {
    out.key(size).begin_object();
    nonzero(out, "usage", counter.usage);
    nonzero(out, "max", counter.max);
    out.field("failcnt", counter.failcnt).end_object();
  }
  out.end_object();
}

void write_rdma(Writer& out, const cgroup::Usage& usage) {
  if (usage.rdma_current.empty() && usage.rdma_limit.empty()) return;
  const auto list = [&](std::string_view name, const std::vector<cgroup::RdmaCounter>& counters) {
    out.key(name).begin_array();
    for (const cgroup::RdmaCounter& counter : counters) {
      out.begin_object().field("device", counter.device).field("hcaHandles", counter.hca_handles);
      out.field("hcaObjects", counter.hca_objects).end_object();
    }
    out.end_array();
  };
  out.key("rdma").begin_object();
  list("current", usage.rdma_current);
  list("limit", usage.rdma_limit);
  out.end_object();
}

void write_interfaces(Writer& out, const std::vector<InterfaceCounters>& interfaces) {
  out.key("network_interfaces");
  if (interfaces.empty()) {
    out.null();
    return;
  }
  out.begin_array();
  for (const InterfaceCounters& i : interfaces) {
    out.begin_object().field("Name", i.name).field("RxBytes", i.rx_bytes).field("RxPackets", i.rx_packets);
    out.field("RxErrors", i.rx_errors).field("RxDropped", i.rx_dropped).field("TxBytes", i.tx_bytes);
    out.field("TxPackets", i.tx_packets).field("TxErrors", i.tx_errors).field("TxDropped", i.tx_dropped).end_object();
  }
  out.end_array();
}

void nonempty(Writer& out, std::string_view name, const std::string& text) {
  if (!text.empty()) out.field(name, text);
}

void objects(Writer& out, std::string_view name, const auto& items, const auto& write_members) {
  if (items.empty()) return;
  out.key(name).begin_array();
  for (const auto& item : items) {
    out.begin_object();
    write_members(item);
    out.end_object();
  }
  out.end_array();
}

void write_resctrl(Writer& out, const ResctrlUsage& usage) {
  out.key("intel_rdt").begin_object();
  if (usage.cache) {
    out.key("l3_cache_info").begin_object();
    nonempty(out, "cbm_mask", usage.cache->mask);
    nonzero(out, "min_cbm_bits", usage.cache->min_bits);
    nonzero(out, "num_closids", usage.cache->classes);
    out.end_object();
  }
  nonempty(out, "l3_cache_schema_root", usage.cache_of_root);
  nonempty(out, "l3_cache_schema", usage.cache_schema);
  if (usage.bandwidth) {
    out.key("mem_bw_info").begin_object();
    nonzero(out, "bandwidth_gran", usage.bandwidth->step);
    nonzero(out, "delay_linear", usage.bandwidth->linear);
    nonzero(out, "min_bandwidth", usage.bandwidth->min);
    nonzero(out, "num_closids", usage.bandwidth->classes);
    out.end_object();
  }
  nonempty(out, "mem_bw_schema_root", usage.bandwidth_of_root);
  nonempty(out, "mem_bw_schema", usage.bandwidth_schema);
  objects(out, "mbm_stats", usage.traffic, [&](const ResctrlUsage::Traffic& domain) {
    nonzero(out, "mbm_total_bytes", domain.total_bytes);
    nonzero(out, "mbm_local_bytes", domain.local_bytes);
  });
  objects(out, "cmt_stats", usage.occupancy_bytes, [&](std::uint64_t bytes) { nonzero(out, "llc_occupancy", bytes); });
  out.end_object();
}

}  // namespace

std::vector<InterfaceCounters> parse_interfaces(std::string_view text) {
  std::vector<InterfaceCounters> out;
  for (const std::string_view line : split(text, '\n')) {
    const auto pair = split_once(line, ':');
    if (!pair) continue;  // the two lines of headings have no colon
    std::vector<std::uint64_t> n;
    for (const std::string_view word : split(pair->second, ' ')) {
      if (const auto value = parse_number<std::uint64_t>(word)) n.push_back(*value);
    }
    const std::string_view name = trim(pair->first);
    if (n.size() < 12 || name.empty() || name == "lo") continue;
    out.push_back({std::string(name), n[0], n[1], n[2], n[3], n[8], n[9], n[10], n[11]});
  }
  return out;
}

std::string stats_line(const std::string& id, const cgroup::Usage& usage,
                       const std::vector<InterfaceCounters>& interfaces, const ResctrlUsage& resctrl) {
  Writer out;
  out.begin_object().field("type", "stats").field("id", id).key("data").begin_object();
  write_cpu(out, usage.cpu);
  write_cpuset(out, usage.cpuset);
  write_memory(out, usage.memory);
  out.key("pids").begin_object();
  nonzero(out, "current", usage.pids.current);
  nonzero(out, "limit", usage.pids.limit);
  out.end_object();
  write_io(out, usage.io);
  write_hugetlb(out, usage.hugetlb);
  write_rdma(out, usage);
  write_resctrl(out, resctrl);
  write_interfaces(out, interfaces);
  return out.end_object().end_object().take() + "\n";
}

std::string oom_line(const std::string& id) {
  Writer out;
  return out.begin_object().field("type", "oom").field("id", id).end_object().take() + "\n";
}

Result<int> parse_interval(std::string_view text) {
  struct Unit {
    std::string_view suffix;
    double ms;
  };
  constexpr auto kUnits =
      std::to_array<Unit>({{"ms", 1}, {"us", 1e-3}, {"ns", 1e-6}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}});
  const auto bad = [&] {
    return Error(Errc::kInvalidArgument,
                 "--interval " + quoted(text) + " must be a duration above zero such as 5s, 500ms or 1m30s");
  };
  double total = 0;
  for (std::string_view rest = text; !rest.empty() || total == 0;) {
    const std::size_t digits = std::min(rest.find_first_not_of("0123456789."), rest.size());
    const auto number = parse_number<double>(rest.substr(0, digits));
    if (!number) return bad();
    rest.remove_prefix(digits);
    const Unit* unit = nullptr;
    for (const Unit& known : kUnits) {
      if (unit == nullptr && rest.starts_with(known.suffix)) unit = &known;
    }
    if (unit == nullptr) return bad();
    rest.remove_prefix(unit->suffix.size());
    total += *number * unit->ms;
    if (total <= 0) return bad();
  }
  if (total > std::numeric_limits<int>::max()) return bad();
  return std::max(1, static_cast<int>(total));
}

}  // namespace cooper::cli::coop
