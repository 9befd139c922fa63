// The counters, by libcontainer's names.
#include "codec/json.h"
#include "library/library.h"

namespace cooper::library {
namespace {

using codec::json::Writer;

void write_interfaces(Writer& out, const std::vector<InterfaceStats>& interfaces) {
  out.key("interfaces").begin_array();
  for (const auto& entry : interfaces) {
    out.begin_object().field("name", entry.name);
    out.field("rx_bytes", entry.rx_bytes).field("rx_packets", entry.rx_packets);
    out.field("rx_errors", entry.rx_errors).field("rx_dropped", entry.rx_dropped);
    out.field("tx_bytes", entry.tx_bytes).field("tx_packets", entry.tx_packets);
    out.field("tx_errors", entry.tx_errors).field("tx_dropped", entry.tx_dropped).end_object();
  }
  out.end_array();
}

void numbers(Writer& out, std::string_view name, const std::vector<std::uint64_t>& values) {
  out.key(name).begin_array();
  for (const std::uint64_t n : values) out.number(n);
  out.end_array();
}

void write_cpu(Writer& out, const cgroup::Usage::Cpu& cpu) {
  out.key("cpu_stats").begin_object().key("cpu_usage").begin_object().field("total_usage", cpu.total_ns);
  numbers(out, "percpu_usage", cpu.percpu_ns);
  out.field("usage_in_kernelmode", cpu.kernel_ns).field("usage_in_usermode", cpu.user_ns).end_object();
  out.key("throttling_data").begin_object().field("periods", cpu.periods);
  out.field("throttled_periods", cpu.throttled_periods).field("throttled_time", cpu.throttled_ns);
  out.end_object().end_object();
}

void write_counter(Writer& out, std::string_view name, const cgroup::MemoryCounter& counter) {
  out.key(name).begin_object().field("usage", counter.usage).field("max_usage", counter.max);
  out.field("failcnt", counter.failcnt).field("limit", counter.limit).end_object();
}

void write_memory(Writer& out, const cgroup::Usage::Memory& memory, std::uint64_t oom_kills) {
  out.key("memory_stats").begin_object().field("cache", memory.cache);
  write_counter(out, "usage", memory.usage);
  write_counter(out, "swap_usage", memory.swap);
  write_counter(out, "kernel_usage", memory.kernel);
  out.field("oom_kills", oom_kills);
  out.key("stats").begin_object();
  for (const auto& [name, value] : memory.raw) out.field(name, value);
  out.end_object().end_object();
}

void write_block_io(Writer& out, const cgroup::Usage::Io& io) {
  const auto list = [&](std::string_view name, const std::vector<cgroup::IoCounter>& counters) {
    out.key(name).begin_array();
    for (const cgroup::IoCounter& counter : counters) {
      out.begin_object().field("major", counter.major).field("minor", counter.minor);
      out.field("op", counter.op).field("value", counter.value).end_object();
    }
    out.end_array();
  };
  out.key("blkio_stats").begin_object();
  list("io_service_bytes_recursive", io.service_bytes);
  list("io_serviced_recursive", io.serviced);
  list("io_queue_recursive", io.queued);
  list("io_service_time_recursive", io.service_time);
  list("io_wait_time_recursive", io.wait_time);
  list("io_merged_recursive", io.merged);
  list("io_time_recursive", io.time);
  list("sectors_recursive", io.sectors);
  out.end_object();
}

void write_hugetlb(Writer& out, const std::map<std::string, cgroup::HugetlbCounter>& sizes) {
  out.key("hugetlb_stats").begin_object();
  for (const auto& [size, counter] : sizes) {
    out.key(size).begin_object().field("usage", counter.usage).field("max_usage", counter.max);
    out.field("failcnt", counter.failcnt).end_object();
  }
  out.end_object();
}

}  // namespace

std::string stats_json(const Stats& stats) {
  const cgroup::Usage& usage = stats.cgroup;
  Writer out(Writer::Style::kPretty);
  out.begin_object();
  write_interfaces(out, stats.interfaces);
  out.key("cgroup_stats").begin_object();
  write_cpu(out, usage.cpu);
  write_memory(out, usage.memory, stats.oom_kills);
  out.key("pids_stats").begin_object().field("current", usage.pids.current).field("limit", usage.pids.limit);
  out.end_object();
  write_block_io(out, usage.io);
  write_hugetlb(out, usage.hugetlb);
  return out.end_object().end_object().take() + "\n";
}

}  // namespace cooper::library
