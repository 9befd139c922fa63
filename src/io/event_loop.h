// A single-threaded epoll loop: readable/writable descriptors, one-shot timers. No allocation per event.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::io {

class EventLoop {
 public:
  // events: EPOLLIN, EPOLLOUT ... as epoll reports them (EPOLLERR and EPOLLHUP always come).
  using FdHandler = std::function<void(std::uint32_t events)>;
  using TimerHandler = std::function<void()>;
  using TimerId = std::uint64_t;

  static Result<EventLoop> create();

  // The descriptor must stay open until remove(). One registration per descriptor.
  Status add(BorrowedFd fd, std::uint32_t events, FdHandler handler);
  Status modify(BorrowedFd fd, std::uint32_t events);
  // Safe inside handlers, also for the descriptor whose handler is running.
  void remove(BorrowedFd fd);

  // Runs once, delay_ms from now (CLOCK_MONOTONIC).
  TimerId add_timer(std::int64_t delay_ms, TimerHandler handler);
  void cancel_timer(TimerId id);

  // Dispatches until stop(). Errors of epoll itself end the loop.
  Status run();
  // One round: waits at most timeout_ms (-1: until something happens).
  Status run_once(int timeout_ms);
  void stop() { stopped_ = true; }

 private:
  explicit EventLoop(UniqueFd epoll) : epoll_(std::move(epoll)) {}
  struct Entry {
    FdHandler handler;
    bool removed = false;
  };
  struct Timer {
    std::int64_t due_ms = 0;
    TimerHandler handler;
  };
  void fire_timers();
  int next_timeout(int limit_ms) const;

  UniqueFd epoll_;
  std::map<int, std::shared_ptr<Entry>> entries_;
  std::map<TimerId, Timer> timers_;
  TimerId next_timer_ = 1;
  bool stopped_ = false;
};

// Milliseconds of CLOCK_MONOTONIC.
std::int64_t monotonic_ms();

}  // namespace cooper::io
