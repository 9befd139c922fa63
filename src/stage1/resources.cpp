#include "stage1/resources.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "sys/tables.h"

namespace cooper::stage1 {
namespace {

constexpr std::uint64_t kCpuPeriodUs = 100000;
constexpr std::int64_t kMinMemoryBytes = std::int64_t{512} << 10;
constexpr std::uint64_t kDefaultNofile = 1048576;
constexpr std::uint64_t kDefaultNproc = 32768;

Result<std::optional<oci::Memory>> memory_limits(const App& app) {
  if (!app.memory_bytes && !app.memory_swap_bytes) return std::optional<oci::Memory>();
  oci::Memory out;
  if (!app.memory_bytes || *app.memory_bytes <= 0) {
    if (app.memory_swap_bytes) {
      return Error(Errc::kInvalidArgument, "a limit of memory and swap needs a memory limit")
          .with_hint("give --memory as well");
    }
    return std::optional<oci::Memory>();  // 0 and negative: unlimited
  }
  const std::int64_t limit = *app.memory_bytes;
  if (limit < kMinMemoryBytes) {
    return Error(Errc::kInvalidArgument,
                 "memory limit of " + std::to_string(limit) + " bytes is too small to start anything")
        .with_hint("the least is 512k");
  }
  out.limit = limit;
  // As docker and podman: as much swap as memory unless told otherwise.
  const std::int64_t doubled = limit > INT64_MAX / 2 ? INT64_MAX : limit * 2;
  out.swap = app.memory_swap_bytes.value_or(doubled);
  if (*out.swap == 0) out.swap = doubled;
  if (*out.swap > 0 && *out.swap < limit) {
    return Error(Errc::kInvalidArgument, "the limit of memory and swap together is below the memory limit");
  }
  return std::optional<oci::Memory>(out);
}

Result<std::optional<oci::Cpu>> cpu_limits(const App& app) {
  if (!app.cpus && !app.cpu_shares && app.cpuset_cpus.empty()) return std::optional<oci::Cpu>();
  oci::Cpu out;
  if (app.cpus && *app.cpus != 0) {
    // The kernel's least quota is 1 ms.
    if (!std::isfinite(*app.cpus) || *app.cpus < 0.01 || *app.cpus > 1e6) {
      return Error(Errc::kInvalidArgument, "the number of cpus must be at least 0.01").with_hint("0 means no limit");
    }
    out.period = kCpuPeriodUs;
    out.quota = std::llround(*app.cpus * static_cast<double>(kCpuPeriodUs));
  }
  if (app.cpu_shares && *app.cpu_shares != 0) {
    if (*app.cpu_shares < 2) return Error(Errc::kInvalidArgument, "cpu shares must be at least 2");
    out.shares = static_cast<std::uint64_t>(*app.cpu_shares);
  }
  out.cpus = app.cpuset_cpus;
  return std::optional<oci::Cpu>(std::move(out));
}

std::string rlimit_type(const std::string& name) {
  std::string out = "RLIMIT_";
  for (const char c : name) out += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return out;
}

void add_default(std::vector<oci::Rlimit>& out, const char* type, std::uint64_t value, std::uint64_t ceiling) {
  if (std::any_of(out.begin(), out.end(), [&](const oci::Rlimit& limit) { return limit.type == type; })) return;
  const std::uint64_t limit = std::min(value, ceiling);
  if (limit != 0) out.push_back({type, limit, limit});
}

}  // namespace

Result<oci::Resources> app_resources(const App& app) {
  oci::Resources out;
  out.devices.push_back({app.privileged, "", {}, {}, "rwm"});
  ASSIGN_OR_RETURN(out.memory, memory_limits(app));
  ASSIGN_OR_RETURN(out.cpu, cpu_limits(app));
  const std::int64_t pids = app.pids_limit.value_or(kDefaultPidsLimit);
  out.pids_limit = pids <= 0 ? -1 : pids;
  return out;
}

Result<std::vector<oci::Rlimit>> app_rlimits(const App& app, const Host& host) {
  std::vector<oci::Rlimit> out;
  for (const Limit& limit : app.ulimits) {
    const std::string type = rlimit_type(limit.name);
    if (!sys::rlimit_from_name(type)) return Error(Errc::kInvalidArgument, "unknown ulimit " + quoted(limit.name));
    if (limit.soft > limit.hard) {
      return Error(Errc::kInvalidArgument, "ulimit " + quoted(limit.name) + ": the soft limit is above the hard one");
    }
    if (std::any_of(out.begin(), out.end(), [&](const oci::Rlimit& seen) { return seen.type == type; })) {
      return Error(Errc::kInvalidArgument, "ulimit " + quoted(limit.name) + " is given twice");
    }
    out.push_back({type, limit.hard, limit.soft});
  }
  add_default(out, "RLIMIT_NOFILE", kDefaultNofile, host.nofile_hard);
  add_default(out, "RLIMIT_NPROC", kDefaultNproc, host.nproc_hard);
  return out;
}

}  // namespace cooper::stage1
