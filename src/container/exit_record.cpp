// How containers ended. A runtime is the parent of a container's init only in the foreground; under a monitor of
// somebody else's (conmon, a containerd shim) that one collects the status, and this room learns it only when it
// happens to look: while the init is a zombie, or through a pidfd that was open before (Container::wait()).
#include <poll.h>
#include <unistd.h>

#include "base/strings.h"
#include "cgroup/usage.h"
#include "codec/json.h"
#include "container/container.h"
#include "container/exit_mount.h"
#include "container/record_file.h"
#include "container/state.h"
#include "sys/process.h"

namespace cooper::container {
namespace {

constexpr int kReapWaitMs = 3000;

bool had_oom(const StateRecord& record) {
  if (record.cgroup_path.empty()) return false;
  const auto layout = cgroup::probe_layout();
  if (!layout.ok()) return false;
  const auto group = cgroup::Group::open(*layout, record.cgroup_path);
  if (!group.ok()) return false;
  return cgroup::oom_kills(*group).value_or(0) > 0;
}

// The init as a zombie: its parent has not collected it yet. Another user may be shown a 0 that is not true.
std::optional<sys::ExitStatus> status_of_zombie(const StateRecord& record) {
  if (::geteuid() != 0 || record.pid <= 0) return std::nullopt;
  const auto boot = boot_id();
  const auto stat = sys::process_stat(record.pid);
  if (!boot.ok() || *boot != record.boot_id || !stat.ok() || stat->state != 'Z' ||
      stat->start_time != record.start_time)
    return std::nullopt;
  return sys::exit_status_from_wait(stat->wait_status);
}

// Once the process has ended. Somebody collects it within moments; the kernel tells after that.
Result<std::optional<sys::ExitStatus>> status_after_end(const StateRecord& record, BorrowedFd pidfd) {
  if (const auto zombie = status_of_zombie(record)) return zombie;
  struct pollfd reaped = {pidfd.get(), 0, 0};  // POLLHUP
  (void)::poll(&reaped, 1, kReapWaitMs);
  return sys::pidfd_exit_status(pidfd);
}

}  // namespace

std::string print_exit_record(const ExitRecord& record) {
  codec::json::Writer out;
  out.begin_object().field("version", 1).field("code", record.status.code).field("signal", record.status.signal);
  out.field("coreDumped", record.status.core_dumped).field("oom", record.oom).field("finished", record.finished);
  return out.end_object().take();
}

Result<ExitRecord> parse_exit_record(std::string text, std::string_view what) {
  ASSIGN_OR_RETURN(const auto document, codec::json::Document::parse(std::move(text), what));
  const codec::json::Cursor root(document.root(), what);
  RETURN_IF_ERROR(root.expect_object());
  ExitRecord out;
  RETURN_IF_ERROR(root.read("code", out.status.code));
  RETURN_IF_ERROR(root.read("signal", out.status.signal));
  RETURN_IF_ERROR(root.read("coreDumped", out.status.core_dumped));
  RETURN_IF_ERROR(root.read("oom", out.oom));
  RETURN_IF_ERROR(root.read("finished", out.finished));
  return out;
}

Result<std::optional<ExitRecord>> Container::exit_record() const {
  RecordParts parts;
  const std::string path = state_paths(options_.root, record_.id).record();
  RETURN_IF_ERROR(read_record(path, parts));
  if (parts.exit) {
    ASSIGN_OR_RETURN(ExitRecord record, parse_exit_record(std::move(*parts.exit), path + ": exit"));
    return std::optional(std::move(record));
  }
  auto status = status_of_zombie(record_);
  if (!status) status = kept_exit_status(state_paths(options_.root, record_.id));
  if (!status) return std::optional<ExitRecord>();
  ExitRecord seen{*status, had_oom(record_), timestamp_now()};
  // For later, when its parent has collected it. Who may not write, or finds it deleted meanwhile, has seen it all the
  // same.
  (void)!append_exit(path, print_exit_record(seen)).ok();
  return std::optional(std::move(seen));
}

Status Container::record_exit(const sys::ExitStatus& status) const {
  const StatePaths paths = state_paths(options_.root, record_.id);
  Status written = append_exit(paths.record(), print_exit_record({status, had_oom(record_), timestamp_now()}));
  // Deleted meanwhile: nobody will ask.
  if (!written.ok() && written.error().errno_value() == ENOENT) return {};
  return written;
}

Result<std::optional<ExitRecord>> Container::wait() const {
  if (record_.created.empty()) {
    return Error(Errc::kWrongState, "container " + quoted(record_.id) + " is being created, or its creator was killed")
        .with_hint("try again, or delete it");
  }
  const auto pidfd = init_pidfd();
  if (!pidfd.ok()) return exit_record();
  // Opened now, because the group may be gone when the init is.
  std::optional<cgroup::OomWatch> oom;
  if (const auto own = group(); own.ok()) {
    if (auto watch = cgroup::OomWatch::start(*own); watch.ok()) oom = std::move(watch).value();
  }
  const bool before = had_oom(record_);
  RETURN_IF_ERROR(sys::pidfd_wait(*pidfd, -1).ok() ? Status() : Status(Error(Errc::kSystem, "wait for the container")));
  ASSIGN_OR_RETURN(const auto status, status_after_end(record_, *pidfd));
  if (!status) return exit_record();  // its parent may have written it
  ExitRecord out{*status, before || (oom && oom->take() > 0) || had_oom(record_), timestamp_now()};
  const StatePaths paths = state_paths(options_.root, record_.id);
  // Whoever was first has written the same; a container that was deleted needs no record.
  RecordParts parts;
  if (read_record(paths.record(), parts).ok() && !parts.exit)
    (void)!append_exit(paths.record(), print_exit_record(out)).ok();
  return std::optional(std::move(out));
}

}  // namespace cooper::container
