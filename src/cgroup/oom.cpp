// OomWatch: an eventfd on cgroup v1, inotify on v2.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>

#include "cgroup/internal/counters.h"
#include "cgroup/usage.h"
#include "sys/file.h"
#include "sys/inotify.h"

namespace cooper::cgroup {
namespace {

std::uint64_t oom_kills_v2(const std::string& events) {
  std::uint64_t out = 0;
  for_each_pair(read_or_empty(events), [&](std::string_view name, std::uint64_t n) {
    if (name == "oom_kill") out = n;
  });
  return out;
}

}  // namespace

Result<OomWatch> OomWatch::start(const Group& group) {
  const auto directories = group.directories();
  OomWatch out;
  const auto v1 = directories.find("memory");
  const auto v2 = directories.find("");
  if (v1 == directories.end() && (v2 == directories.end() || directories.size() != 1))
    return Error(Errc::kUnsupported,
                 "out-of-memory events need the cgroup controller 'memory', which is not available");
  out.v2_ = v1 == directories.end();
  out.file_ = out.v2_ ? v2->second + "/memory.events" : v1->second + "/memory.oom_control";
  if (out.v2_) {
    ASSIGN_OR_RETURN(out.events_, sys::inotify_init1());
    ASSIGN_OR_RETURN(const int watch, sys::inotify_add_watch(out.events_, out.file_, IN_MODIFY));
    (void)watch;
    out.seen_ = oom_kills_v2(out.file_);
    return out;
  }
  ASSIGN_OR_RETURN(out.control_, sys::openat(sys::kCwd, out.file_, O_RDONLY));
  const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) return Error::from_errno(errno, "eventfd");
  out.events_.reset(fd);
  RETURN_IF_ERROR(write_control(v1->second + "/cgroup.event_control",
                                std::to_string(fd) + " " + std::to_string(out.control_.get())));
  return out;
}

std::uint64_t OomWatch::take() {
  if (v2_) {
    std::array<char, 4096> ignored{};
    while (sys::read(events_, ignored).value_or(0) > 0) continue;
    const std::uint64_t now = oom_kills_v2(file_);
    const std::uint64_t more = now > seen_ ? now - seen_ : 0;
    if (now > seen_) seen_ = now;
    return more;
  }
  std::uint64_t count = 0;
  if (::read(events_.get(), &count, sizeof count) != static_cast<ssize_t>(sizeof count)) return 0;
  // The kernel signals the removal of the group too.
  return ::access(file_.c_str(), F_OK) == 0 ? count : 0;
}

}  // namespace cooper::cgroup
