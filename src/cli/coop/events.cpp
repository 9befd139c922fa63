#include <poll.h>
#include <time.h>

#include <array>

#include "base/strings.h"
#include "cli/coop/commands.h"
#include "cli/coop/usage_json.h"
#include "io/file.h"
#include "log/log.h"
#include "sys/file.h"

namespace cooper::cli::coop {
namespace {

std::int64_t now_ms() {
  struct timespec now = {};
  (void)::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

// Nothing when the container shares the host's network: those are not its numbers.
std::vector<InterfaceCounters> interfaces_of(pid_t pid) {
  const std::string base = "/proc/" + std::to_string(pid);
  const auto theirs = sys::fstatat(sys::kCwd, base + "/ns/net", 0);
  const auto ours = sys::fstatat(sys::kCwd, "/proc/self/ns/net", 0);
  if (!theirs.ok() || !ours.ok() || theirs->st_ino == ours->st_ino) return {};
  const auto text = io::read_file(base + "/net/dev", std::size_t{1} << 20);
  return text.ok() ? parse_interfaces(*text) : std::vector<InterfaceCounters>();
}

Status print_stats(const container::Container& container, const cgroup::Group& group) {
  ASSIGN_OR_RETURN(const cgroup::Usage usage, cgroup::read_usage(group));
  const container::StateRecord& record = container.record();
  const ResctrlUsage resctrl = read_resctrl_usage(std::string(container::Resctrl::kMountPoint), record.resctrl);
  return print(stats_line(record.id, usage, interfaces_of(record.pid), resctrl));
}

Status print_ooms(const std::string& id, cgroup::OomWatch& watch) {
  for (std::uint64_t count = watch.take(); count > 0; --count) RETURN_IF_ERROR(print(oom_line(id)));
  return {};
}

// Until the container ends: counters every interval, out-of-memory events as they come.
Status follow(const container::Container& container, const cgroup::Group& group, int interval) {
  const std::string& id = container.record().id;
  ASSIGN_OR_RETURN(const UniqueFd init, container.init_pidfd());
  auto started = cgroup::OomWatch::start(group);
  if (!started.ok()) log::warning(started.error().message());
  std::optional<cgroup::OomWatch> oom;
  if (started.ok()) oom = std::move(started).value();
  std::int64_t next = now_ms();
  while (true) {
    if (now_ms() >= next) {
      RETURN_IF_ERROR(print_stats(container, group));
      next = now_ms() + interval;
    }
    std::array<pollfd, 3> fds{
        {{init.get(), POLLIN, 0}, {oom ? oom->fd().get() : -1, POLLIN, 0}, {STDOUT_FILENO, 0, 0}}};
    const auto left = static_cast<int>(std::max<std::int64_t>(0, next - now_ms()));
    if (::poll(fds.data(), fds.size(), left) < 0 && errno != EINTR) return Error::from_errno(errno, "poll");
    if (oom && (fds[0].revents | fds[1].revents) != 0) RETURN_IF_ERROR(print_ooms(id, *oom));
    if (fds[0].revents != 0) return {};
    if ((fds[2].revents & (POLLERR | POLLHUP)) != 0) return {};  // nobody reads any more
  }
}

}  // namespace

Result<int> run_events(const Call& call) {
  ASSIGN_OR_RETURN(const int interval, parse_interval(call.arguments.value("interval", "5s")));
  ASSIGN_OR_RETURN(const auto container, call.load());
  ASSIGN_OR_RETURN(const container::RunStatus status, container.status());
  if (status == container::RunStatus::kStopped || status == container::RunStatus::kCreating) {
    return Error(Errc::kWrongState, "container with id " + call.id() + " is not running: it is " +
                                        std::string(container::to_string(status)));
  }
  ASSIGN_OR_RETURN(const cgroup::Group group, container.group());
  RETURN_IF_ERROR(call.arguments.flag("stats") ? print_stats(container, group) : follow(container, group, interval));
  return 0;
}

}  // namespace cooper::cli::coop
