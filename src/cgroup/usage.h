// Everything the kernel counts for a group, as `coop events` prints it; Stats (cgroup.h) is the short form that is read
// often. What the layout does not count stays empty.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cgroup/cgroup.h"

namespace cooper::cgroup {

// Pressure stall information: averages in percent, total in microseconds.
struct PressureLine {
  double avg10 = 0, avg60 = 0, avg300 = 0;
  std::uint64_t total = 0;
};
struct Pressure {
  PressureLine some, full;
};
// nullopt when the text has neither line (kernel without PSI).
std::optional<Pressure> parse_pressure(std::string_view text);

// Values of cgroup v1's memory+swap counter are sums; those of v2 are made sums, so that both read alike.
struct MemoryCounter {
  std::uint64_t limit = 0, usage = 0, max = 0, failcnt = 0;
};
struct IoCounter {
  std::uint64_t major = 0, minor = 0;
  std::string op;  // Read, Write ...; empty where the file has no operations
  std::uint64_t value = 0;
};
struct HugetlbCounter {
  std::uint64_t usage = 0, max = 0, failcnt = 0;
};
struct RdmaCounter {
  std::string device;
  std::uint64_t hca_handles = 0, hca_objects = 0;
};

struct Usage {
  struct Cpu {
    std::uint64_t total_ns = 0, kernel_ns = 0, user_ns = 0;
    std::vector<std::uint64_t> percpu_ns, percpu_kernel_ns, percpu_user_ns;  // v1
    std::uint64_t periods = 0, throttled_periods = 0, throttled_ns = 0;
    std::uint64_t bursts = 0, burst_ns = 0;
    std::optional<Pressure> pressure;
  } cpu;
  struct Cpuset {
    std::vector<std::uint16_t> cpus, mems;
    std::uint64_t cpu_exclusive = 0, mem_hardwall = 0, mem_exclusive = 0, memory_migrate = 0, memory_spread_page = 0,
                  memory_spread_slab = 0, memory_pressure = 0, sched_load_balance = 0;
    std::int64_t sched_relax_domain_level = 0;
  } cpuset;
  struct Memory {
    std::uint64_t cache = 0;
    MemoryCounter usage, swap, kernel, kernel_tcp;
    std::map<std::string, std::uint64_t> raw;  // memory.stat
    std::optional<Pressure> pressure;
  } memory;
  struct Pids {
    std::uint64_t current = 0, limit = 0;  // 0: unlimited
  } pids;
  struct Io {
    std::vector<IoCounter> service_bytes, serviced, queued, service_time, wait_time, merged, time, sectors;
    std::optional<Pressure> pressure;
  } io;
  std::map<std::string, HugetlbCounter> hugetlb;  // by page size: "2MB"
  std::vector<RdmaCounter> rdma_current, rdma_limit;
};
Result<Usage> read_usage(const Group& group);

// "0-2,5" -> 0 1 2 5; what is no number is skipped, and at most 4096 are listed.
std::vector<std::uint16_t> parse_id_list(std::string_view text);
// "8:0 Read 4096" or "8:0 4096" a line; others are skipped.
std::vector<IoCounter> parse_io_counters(std::string_view text);
// "mlx4_0 hca_handle=2 hca_object=max" a line.
std::vector<RdmaCounter> parse_rdma(std::string_view text);

// How many processes of the group the OOM killer has ended. One file is read.
Result<std::uint64_t> oom_kills(const Group& group);

// Tells when processes of the group met its memory limit and the OOM killer was called (or, on v1 with the killer
// disabled, would have been).
class OomWatch {
 public:
  // Errc::kUnsupported without a memory controller. The group must exist.
  static Result<OomWatch> start(const Group& group);
  // Readable when take() may have something.
  BorrowedFd fd() const { return events_; }
  // How often since the last call; never blocks. The end of the group is no event.
  std::uint64_t take();

 private:
  OomWatch() = default;
  UniqueFd events_;   // eventfd (v1), inotify (v2)
  UniqueFd control_;  // v1: the file the eventfd is registered for
  std::string file_;  // memory.oom_control, memory.events
  bool v2_ = false;
  std::uint64_t seen_ = 0;  // v2: its oom_kill counter
};

}  // namespace cooper::cgroup
