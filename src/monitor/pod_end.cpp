#include "monitor/internal/pod_end.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "io/event_loop.h"
#include "io/file.h"
#include "monitor/internal/supervisor.h"
#include "monitor/process_setup.h"
#include "sys/file.h"

namespace cooper::monitor::internal {
namespace {

constexpr std::string_view kStatusDir = "status";
constexpr std::size_t kReserve = 4096;
constexpr int kGoodbyeMs = 100;  // the monitor itself waits so long for clients to read the rest
constexpr std::int64_t kSlowMs =
    10000;  // a client that is not in the foreground and takes nothing for so long is given up

// Serves the connections until all have taken everything, or until the deadline (-1: none). Those served are removed.
void serve_unsent(std::vector<std::unique_ptr<Connection>>& connections, std::int64_t deadline_ms) {
  while (!connections.empty()) {
    std::vector<struct pollfd> fds;
    for (const auto& connection : connections) fds.push_back({connection->fd().get(), POLLOUT, 0});
    const std::int64_t now = io::monotonic_ms();
    if (deadline_ms >= 0 && now >= deadline_ms) return;
    const int wait = deadline_ms < 0 ? 1000 : static_cast<int>(deadline_ms - now);
    if (::poll(fds.data(), fds.size(), wait) < 0 && errno != EINTR) return;
    std::size_t i = 0;
    std::erase_if(connections, [&](const std::unique_ptr<Connection>& connection) {
      const short ready = fds[i++].revents;
      if ((ready & (POLLHUP | POLLERR | POLLNVAL)) != 0) return true;
      if ((ready & POLLOUT) != 0 && connection->flush() != Connection::Sent::kBlocked) return true;
      return !connection->foreground_ && io::monotonic_ms() - connection->progress_ms_ > kSlowMs;
    });
  }
}

}  // namespace

void hand_over_unsent(std::vector<std::unique_ptr<Connection>> connections) {
  serve_unsent(connections, io::monotonic_ms() + kGoodbyeMs);
  if (connections.empty()) return;
  const pid_t child = ::fork();
  if (child < 0) serve_unsent(connections, io::monotonic_ms() + kSlowMs);
  if (child != 0) return;
  reset_signals();
  std::vector<int> keep;
  for (const auto& connection : connections) keep.push_back(connection->fd().get());
  (void)!close_all_but(keep).ok();
  set_process_name("cooper-flush", {});
  serve_unsent(connections, -1);
  ::_exit(0);
}

namespace {

std::string record_path(const std::string& app) {
  return std::string(kStatusDir) + "/" + app;
}
std::string reserve_path(const std::string& app) {
  return std::string(kStatusDir) + "/." + app + ".reserve";
}

Status write_into_reserve(BorrowedFd pod_dir, const std::string& app, std::string text) {
  ASSIGN_OR_RETURN(const UniqueFd fd, sys::openat(pod_dir, reserve_path(app), O_WRONLY | O_NOFOLLOW));
  // White space after the document is part of the format: the file keeps its size until all is written.
  const std::size_t length = text.size();
  if (text.size() < kReserve) text.append(kReserve - text.size(), ' ');
  RETURN_IF_ERROR(sys::write_all(fd, text));
  (void)!sys::ftruncate(fd, static_cast<off_t>(length)).ok();
  return sys::renameat(pod_dir, reserve_path(app), pod_dir, record_path(app));
}

Status make_status_dir(BorrowedFd pod_dir) {
  Status made = sys::mkdirat(pod_dir, std::string(kStatusDir), 0755);
  return !made.ok() && made.error().errno_value() == EEXIST ? Status() : std::move(made);
}

}  // namespace

void reserve_exit_record(BorrowedFd pod_dir, const std::string& app) {
  if (!make_status_dir(pod_dir).ok()) return;
  (void)!io::write_file_atomic(pod_dir, reserve_path(app), std::string(kReserve, ' '), 0644).ok();
}

Status write_exit_record(BorrowedFd pod_dir, const ExitRecord& record) {
  const std::string text = print_exit_record(record);
  Status written = io::write_file_atomic(pod_dir, record_path(record.app), text, 0644);
  if (!written.ok() && written.error().errno_value() == ENOENT) {
    RETURN_IF_ERROR(make_status_dir(pod_dir));
    written = io::write_file_atomic(pod_dir, record_path(record.app), text, 0644);
  }
  if (!written.ok()) written = write_into_reserve(pod_dir, record.app, text);
  // Also after a failure: a reserve that stays says that the monitor was killed.
  (void)!sys::unlinkat(pod_dir, reserve_path(record.app)).ok();
  return written;
}

Result<ExitRecord> read_exit_record(BorrowedFd pod_dir, const std::string& app) {
  const std::string path = record_path(app);
  ASSIGN_OR_RETURN(std::string text, io::read_file(pod_dir, path, std::size_t{1} << 20));
  return parse_exit_record(std::move(text), path);
}

void sync_exit_record(BorrowedFd pod_dir, const std::string& app) {
  const auto file = sys::openat(pod_dir, record_path(app), O_RDONLY | O_NOFOLLOW);
  if (!file.ok()) return;
  (void)!sys::fsync(*file).ok();
  if (const auto dir = sys::openat(pod_dir, std::string(kStatusDir), O_RDONLY | O_DIRECTORY); dir.ok())
    (void)!sys::fsync(*dir).ok();
}

void remove_run_dir(const std::string& path) {
  if (path.empty()) return;
  (void)!io::remove_tree(sys::kCwd, path).ok();
}

int start_failure_code(const Error& error) {
  switch (error.code()) {
    case Errc::kNotFound:
      return 127;
    case Errc::kPermission:
      return 126;
    default:
      return 125;
  }
}

}  // namespace cooper::monitor::internal

namespace cooper::monitor {

bool exit_record_was_promised(BorrowedFd pod_dir, const std::string& app) {
  // A record that cannot be read was written: a power cut may have emptied it.
  return sys::fstatat(pod_dir, internal::reserve_path(app)).ok() ||
         sys::fstatat(pod_dir, internal::record_path(app)).ok();
}

}  // namespace cooper::monitor
