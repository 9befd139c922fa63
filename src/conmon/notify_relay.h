// What a container says to its notify socket, told to the service manager of the host: states of the service, and
// nothing that concerns the manager's own bookkeeping (MAINPID=, FDSTORE= and such).
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "io/event_loop.h"

namespace cooper::conmon {

// The lines of `message` that may be passed on. Exposed for tests.
std::string allowed_notifications(std::string_view message);

class NotifyRelay {
 public:
  explicit NotifyRelay(io::EventLoop& loop) : loop_(loop) {}
  NotifyRelay(const NotifyRelay&) = delete;
  NotifyRelay& operator=(const NotifyRelay&) = delete;

  // Listens at BUNDLE/notify/notify.sock, which everybody may write to; `host_socket` is a path or "@name".
  Status open(const std::string& bundle, const std::string& host_socket);

 private:
  void on_readable();

  io::EventLoop& loop_;
  UniqueFd inside_;
  UniqueFd outside_;
};

}  // namespace cooper::conmon
