#include "io/event_loop.h"

#include <sys/epoll.h>
#include <time.h>

#include <algorithm>
#include <array>

namespace cooper::io {

std::int64_t monotonic_ms() {
  struct timespec now = {};
  (void)::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

Result<EventLoop> EventLoop::create() {
  UniqueFd fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!fd) return Error::from_errno(errno, "create epoll");
  return EventLoop(std::move(fd));
}

Status EventLoop::add(BorrowedFd fd, std::uint32_t events, FdHandler handler) {
  struct epoll_event event = {};
  event.events = events;
  event.data.fd = fd.get();
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &event) != 0)
    return Error::from_errno(errno, "watch descriptor");
  entries_[fd.get()] = std::make_shared<Entry>(Entry{std::move(handler)});
  return {};
}

Status EventLoop::modify(BorrowedFd fd, std::uint32_t events) {
  struct epoll_event event = {};
  event.events = events;
  event.data.fd = fd.get();
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd.get(), &event) != 0)
    return Error::from_errno(errno, "watch descriptor");
  return {};
}

void EventLoop::remove(BorrowedFd fd) {
  const auto found = entries_.find(fd.get());
  if (found == entries_.end()) return;
  found->second->removed = true;
  entries_.erase(found);
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd.get(), nullptr);
}

EventLoop::TimerId EventLoop::add_timer(std::int64_t delay_ms, TimerHandler handler) {
  const TimerId id = next_timer_++;
  timers_[id] = Timer{monotonic_ms() + std::max<std::int64_t>(delay_ms, 0), std::move(handler)};
  return id;
}

void EventLoop::cancel_timer(TimerId id) {
  timers_.erase(id);
}

int EventLoop::next_timeout(int limit_ms) const {
  std::int64_t wait = limit_ms < 0 ? -1 : limit_ms;
  const std::int64_t now = timers_.empty() ? 0 : monotonic_ms();
  for (const auto& [id, timer] : timers_) {
    const std::int64_t left = std::max<std::int64_t>(timer.due_ms - now, 0);
    wait = wait < 0 ? left : std::min(wait, left);
  }
  return static_cast<int>(std::min<std::int64_t>(wait, 1 << 30));
}

void EventLoop::fire_timers() {
  const std::int64_t now = timers_.empty() ? 0 : monotonic_ms();
  while (!stopped_) {
    const auto due = std::ranges::find_if(timers_, [&](const auto& entry) { return entry.second.due_ms <= now; });
    if (due == timers_.end()) return;
    const TimerHandler handler = std::move(due->second.handler);
    timers_.erase(due);
    handler();
  }
}

Status EventLoop::run_once(int timeout_ms) {
  std::array<struct epoll_event, 64> events;
  const int n = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), next_timeout(timeout_ms));
  if (n < 0 && errno != EINTR) return Error::from_errno(errno, "wait for events");
  for (int i = 0; i < n && !stopped_; ++i) {
    const auto& event = events[static_cast<std::size_t>(i)];
    const auto found = entries_.find(event.data.fd);
    if (found == entries_.end()) continue;
    const std::shared_ptr<Entry> entry = found->second;  // keeps the handler alive if it removes itself
    if (!entry->removed) entry->handler(event.events);
  }
  fire_timers();
  return {};
}

Status EventLoop::run() {
  stopped_ = false;
  while (!stopped_) RETURN_IF_ERROR(run_once(-1));
  return {};
}

}  // namespace cooper::io
