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

struct Place {
  bool v2 = false;
  std::string directory;
};

Result<Place> place_of(const Group& group) {
  const auto directories = group.directories();
  if (const auto v1 = directories.find("memory"); v1 != directories.end()) return Place{false, v1->second};
  if (const auto v2 = directories.find(""); v2 != directories.end() && directories.size() == 1)
    return Place{true, v2->second};
  return Error(Errc::kUnsupported, "out-of-memory events need the cgroup controller 'memory', which is not available");
}

std::string file_of(const Place& place) {
  return place.directory + (place.v2 ? "/memory.events" : "/memory.oom_control");
}

std::uint64_t kills_in(const std::string& file) {
  std::uint64_t out = 0;
  for_each_pair(read_or_empty(file), [&](std::string_view name, std::uint64_t n) {
    if (name == "oom_kill") out = n;
  });
  return out;
}

}  // namespace

Result<std::uint64_t> oom_kills(const Group& group) {
  ASSIGN_OR_RETURN(const Place place, place_of(group));
  return kills_in(file_of(place));
}

Result<OomWatch> OomWatch::start(const Group& group) {
  ASSIGN_OR_RETURN(const Place place, place_of(group));
  OomWatch out;
  out.v2_ = place.v2;
  out.file_ = file_of(place);
  if (out.v2_) {
    ASSIGN_OR_RETURN(out.events_, sys::inotify_init1());
    ASSIGN_OR_RETURN(const int watch, sys::inotify_add_watch(out.events_, out.file_, IN_MODIFY));
    (void)watch;
    out.seen_ = kills_in(out.file_);
    return out;
  }
  ASSIGN_OR_RETURN(out.control_, sys::openat(sys::kCwd, out.file_, O_RDONLY));
  const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) return Error::from_errno(errno, "eventfd");
  out.events_.reset(fd);
  RETURN_IF_ERROR(write_control(place.directory + "/cgroup.event_control",
                                std::to_string(fd) + " " + std::to_string(out.control_.get())));
  return out;
}

std::uint64_t OomWatch::take() {
  if (v2_) {
    std::array<char, 4096> ignored{};
    while (sys::read(events_, ignored).value_or(0) > 0) continue;
    const std::uint64_t now = kills_in(file_);
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
