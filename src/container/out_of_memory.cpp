#include "container/out_of_memory.h"

#include <signal.h>

#include <algorithm>

#include "base/strings.h"
#include "cgroup/usage.h"
#include "sys/process.h"

namespace cooper::container {
namespace {

constexpr int kMomentMs = 200;

std::optional<sys::ExitStatus> how_it_ended(pid_t pid, BorrowedFd pidfd) {
  if (const auto stat = sys::process_stat(pid); stat.ok() && stat->state == 'Z')
    return sys::exit_status_from_wait(stat->wait_status);
  const auto told = sys::pidfd_exit_status(pidfd);  // its parent was faster
  return told.ok() ? *told : std::nullopt;
}

}  // namespace

bool limits_memory(const oci::Resources& resources) {
  if (resources.memory && resources.memory->limit.value_or(-1) > 0) return true;
  return std::ranges::any_of(resources.unified, [](const auto& entry) { return entry.first.starts_with("memory."); });
}

std::optional<Error> out_of_memory(const cgroup::Group& group) {
  const auto kills = cgroup::oom_kills(group);
  if (!kills.ok() || *kills == 0) return std::nullopt;
  const auto stats = cgroup::read_stats(group);
  const auto limit = stats.ok() ? stats->memory_limit_bytes : std::nullopt;
  if (!limit)
    return Error(Errc::kSystem, "the container's init was killed by the kernel: there is no memory left for it", ENOMEM)
        .with_hint("see the limits of the control groups above the container's, and the memory of the machine");
  const std::uint64_t used = std::max(stats->memory_usage_bytes, stats->memory_max_usage_bytes);
  const std::string size =
      *limit == 0 ? "less than a page of memory"
                  : format_bytes_exactly(*limit) + ", of which at most " + format_bytes_exactly(used) + " were in use";
  return Error(Errc::kSystem, "the container's init was killed by the kernel: the memory limit is " + size, ENOMEM)
      .with_hint("choose a larger memory limit: a start takes less than 1 MiB, the rest is what the program needs");
}

std::optional<Error> out_of_memory_at_start(const cgroup::Group& group, pid_t init, BorrowedFd pidfd) {
  const auto kills = cgroup::oom_kills(group);
  if (!kills.ok() || *kills == 0) return std::nullopt;
  if (const auto ended = sys::pidfd_wait(pidfd, kMomentMs); !ended.ok() || !*ended) return std::nullopt;
  const auto status = how_it_ended(init, pidfd);
  if (!status || status->signal != SIGKILL) return std::nullopt;
  return out_of_memory(group);
}

}  // namespace cooper::container
