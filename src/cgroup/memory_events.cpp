#include "cgroup/memory_events.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>

#include "base/strings.h"
#include "io/file.h"
#include "sys/file.h"
#include "sys/inotify.h"

namespace cooper::cgroup {
namespace {

// The directory that accounts for memory, and whether it is of v2.
struct Place {
  std::string directory;
  bool v2 = false;
};
Result<Place> memory_place(const Group& group) {
  const auto directories = group.directories();
  if (const auto v1 = directories.find("memory"); v1 != directories.end()) return Place{v1->second, false};
  if (const auto v2 = directories.find(""); v2 != directories.end()) {
    if (::access((v2->second + "/memory.events").c_str(), R_OK) == 0) return Place{v2->second, true};
  }
  return Error(Errc::kUnsupported, "the memory of cgroup " + quoted(group.path()) + " is not accounted for");
}

// "oom_kill" of memory.events; nullopt without the file.
std::optional<std::uint64_t> oom_count(const std::string& path) {
  const auto text = io::read_file(path, 4096);
  if (!text.ok()) return std::nullopt;
  for (const std::string_view line : split(*text, '\n')) {
    const auto pair = split_once(line, ' ');
    if (pair && pair->first == "oom_kill") return parse_number<std::uint64_t>(pair->second).value_or(0);
  }
  return 0;
}

}  // namespace

Result<MemoryEvents> MemoryEvents::by_eventfd(const std::string& directory, const char* file,
                                              const std::string& argument) {
  MemoryEvents out;
  out.watched_ = directory + "/" + file;
  ASSIGN_OR_RETURN(const UniqueFd watched, sys::openat(sys::kCwd, out.watched_, O_RDONLY));
  out.fd_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!out.fd_) return Error::from_errno(errno, "eventfd");
  std::string line = std::to_string(out.fd_.get()) + " " + std::to_string(watched.get());
  if (!argument.empty()) line += " " + argument;
  RETURN_IF_ERROR(io::write_existing(sys::kCwd, directory + "/cgroup.event_control", line));
  out.poll_events_ = POLLIN;
  return out;
}

Result<MemoryEvents> MemoryEvents::oom(const Group& group) {
  ASSIGN_OR_RETURN(const Place place, memory_place(group));
  if (!place.v2) return by_eventfd(place.directory, "memory.oom_control", "");
  MemoryEvents out;
  out.kind_ = Kind::kInotify;
  out.watched_ = place.directory + "/memory.events";
  ASSIGN_OR_RETURN(out.fd_, sys::inotify_init1());
  ASSIGN_OR_RETURN([[maybe_unused]] const int watch, sys::inotify_add_watch(out.fd_, out.watched_, IN_MODIFY));
  out.seen_ = oom_count(out.watched_).value_or(0);
  out.poll_events_ = POLLIN;
  return out;
}

Result<MemoryEvents> MemoryEvents::pressure(const Group& group, PressureLevel level) {
  ASSIGN_OR_RETURN(const Place place, memory_place(group));
  const auto index = static_cast<std::size_t>(level);
  if (!place.v2) {
    constexpr std::array<const char*, 3> kWords{"low", "medium", "critical"};
    return by_eventfd(place.directory, "memory.pressure_level", kWords.at(index));
  }
  constexpr std::array<const char*, 3> kTriggers{"some 100000 1000000", "some 200000 1000000", "full 500000 1000000"};
  MemoryEvents out;
  out.kind_ = Kind::kTrigger;
  out.watched_ = place.directory + "/memory.pressure";
  ASSIGN_OR_RETURN(out.fd_, sys::openat(sys::kCwd, out.watched_, O_RDWR | O_NONBLOCK));
  const std::string trigger = kTriggers.at(index);
  if (::write(out.fd_.get(), trigger.c_str(), trigger.size() + 1) < 0)
    return Error::from_errno(errno, "write to " + quoted(out.watched_));
  out.poll_events_ = POLLPRI;
  return out;
}

Result<std::optional<std::uint64_t>> MemoryEvents::take() {
  std::uint64_t happened = 0;
  if (kind_ == Kind::kEventFd) {
    const ssize_t n = ::read(fd_.get(), &happened, sizeof happened);
    if (n < 0 && errno != EAGAIN && errno != EINTR) return Error::from_errno(errno, "read events");
    if (n < 0) happened = 0;
  } else if (kind_ == Kind::kInotify) {
    std::array<char, 4096> events{};
    while (::read(fd_.get(), events.data(), events.size()) > 0) continue;
    const auto now = oom_count(watched_);
    if (!now) return std::optional<std::uint64_t>();
    happened = *now - seen_;
    seen_ = *now;
    return std::optional(happened);
  } else {
    pollfd wait = {fd_.get(), poll_events_, 0};
    if (::poll(&wait, 1, 0) > 0 && (wait.revents & POLLPRI) != 0) happened = 1;
  }
  // The end of the group is announced as an event too.
  if (::access(watched_.c_str(), F_OK) != 0) return std::optional<std::uint64_t>();
  return std::optional(happened);
}

Result<std::optional<std::uint64_t>> MemoryEvents::wait() {
  while (true) {
    pollfd wait = {fd_.get(), poll_events_, 0};
    if (::poll(&wait, 1, -1) < 0 && errno != EINTR) return Error::from_errno(errno, "poll");
    ASSIGN_OR_RETURN(const auto happened, take());
    if (!happened || *happened != 0) return happened;
  }
}

}  // namespace cooper::cgroup
