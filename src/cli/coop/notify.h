// sd_notify(3) through the runtime: the container gets a socket of its own at /run/notify/notify.sock, and what it says
// about being ready is passed on to the caller's NOTIFY_SOCKET.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/error.h"
#include "base/fd.h"
#include "spec/oci_runtime/types.h"

namespace cooper::cli::coop {

class NotifyProxy {
 public:
  // The caller has a NOTIFY_SOCKET.
  static bool wanted();
  // With a NOTIFY_SOCKET in the caller's environment: makes <root>/.notify/<id> for a new container. nullopt without.
  static Result<std::optional<NotifyProxy>> prepare(const std::string& root, const std::string& id);
  // The same for a container that exists (start): nullopt when it has no such directory or the caller no socket.
  static Result<std::optional<NotifyProxy>> open(const std::string& root, const std::string& id);
  // Removes the directory of a container that is gone. Missing is fine.
  static void remove(const std::string& root, const std::string& id);

  oci::Mount mount() const;
  std::string environment() const;

  // Starts to listen; before the container's process runs.
  Status listen();
  BorrowedFd socket() const { return socket_; }
  // Takes what arrived. Once READY=1 is among it: tells the caller READY=1 and MAINPID, waits (bounded) until it was
  // processed. True then.
  Result<bool> forward(pid_t main_pid);
  // Blocks until READY=1 was forwarded, or the process ended.
  Status wait_ready(pid_t main_pid, BorrowedFd pidfd);

 private:
  NotifyProxy(std::string target, std::string directory)
      : target_(std::move(target)), directory_(std::move(directory)) {}
  Status tell_caller(pid_t main_pid) const;

  std::string target_;     // the caller's socket
  std::string directory_;  // ours, bound into the container
  UniqueFd socket_;
};

}  // namespace cooper::cli::coop
