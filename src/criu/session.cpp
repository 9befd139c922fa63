#include "criu/session.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "criu/serve_child.h"
#include "io/file.h"
#include "io/mountinfo.h"
#include "sys/file.h"
#include "sys/socket.h"
#include "sys/tables.h"

namespace cooper::criu {
namespace {

constexpr std::size_t kMaxAnswerBytes = 65536;
constexpr int kEndMs = 5000;
constexpr const char* kUsualPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

bool is_program(const std::string& path) {
  struct stat info = {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

// The mount point of the file system that a path without symbolic links is on: the longest one above it.
Result<std::string> mount_point_of(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string table, io::read_file("/proc/self/mountinfo"));
  std::string found;
  for (const std::string_view line : split(table, '\n')) {
    const auto words = split(line, ' ');
    if (words.size() < 5) continue;
    const std::string point = io::unescape_mount(words[4]);
    const bool above = point == "/" || point == path || (path.starts_with(point) && path[point.size()] == '/');
    // The last one hides those before it.
    if (above && point.size() >= found.size()) found = point;
  }
  if (found.empty()) return Error(Errc::kNotFound, "find the mount of " + quoted(path));
  return found;
}

// The parent's end of criu's socket, once the child has become criu.
Result<UniqueFd> take_socket(BorrowedFd child, const std::string& program) {
  UniqueFd socket;
  while (true) {
    ASSIGN_OR_RETURN(auto message, sys::recv_message(child, kMaxAnswerBytes));
    // End of file is an execve that went well.
    if (message.eof) break;
    if (!message.fds.empty()) {
      socket = std::move(message.fds.front());
      continue;
    }
    int saved = 0;
    if (message.data.size() >= sizeof saved) std::memcpy(&saved, message.data.data(), sizeof saved);
    return Error::from_errno(saved, message.data.substr(sizeof saved)).with("start " + quoted(program));
  }
  if (!socket) return Error(Errc::kSystem, "start " + quoted(program) + ": it ended before it began");
  return socket;
}

}  // namespace

Result<std::string> find_program() {
  const char* path = ::secure_getenv("PATH");
  for (const std::string_view place : split(path != nullptr ? path : kUsualPath, ':')) {
    const std::string candidate = std::string(place) + "/criu";
    if (place.starts_with('/') && is_program(candidate)) return candidate;
  }
  return Error(Errc::kNotFound, "the program 'criu', which saves and restores processes, is not in $PATH", ENOENT)
      .with_hint("install CRIU");
}

std::string last_errors(std::string_view log) {
  constexpr std::size_t kLines = 3;
  constexpr std::size_t kMaxLine = 200;
  std::vector<std::string> found;
  std::string_view last;
  const auto lines = split(log, '\n');
  for (std::size_t i = lines.size(); i-- > 0 && found.size() < kLines;) {
    std::string_view line = trim(lines[i]);
    if (!line.empty() && last.empty()) last = line;
    // "(00.012345) Error (criu/files.c:1234): words"
    if (const auto at = line.find("Error ("); at != std::string_view::npos) {
      line = line.substr(at);
      if (const auto words = line.find("): "); words != std::string_view::npos) line = trim(line.substr(words + 3));
      found.insert(found.begin(), std::string(line.substr(0, kMaxLine)));
    }
  }
  return found.empty() ? std::string(last.substr(0, kMaxLine)) : join(found, "; ");
}

Result<Session> Session::start(const SessionOptions& options) {
  ASSIGN_OR_RETURN(const int threads, sys::thread_count());
  if (threads != 1)
    return Error(Errc::kInternal, "the process that starts criu has " + std::to_string(threads) + " threads");
  ASSIGN_OR_RETURN(auto pair, sys::socketpair(SOCK_SEQPACKET));
  Service service;
  service.program = options.program;
  service.mount_from = options.mount_from;
  service.mount_at = options.mount_at;
  if (!options.mount_at.empty()) {
    ASSIGN_OR_RETURN(service.mount_below, mount_point_of(options.mount_at));
  }
  service.directories = options.directories;
  service.passed = options.passed;
  service.parent = pair.second;
  ASSIGN_OR_RETURN(auto child, sys::clone3(0));
  if (child.pid == 0) {
    pair.first.reset();
    serve(std::move(service));
  }
  pair.second.reset();
  Session out(std::move(child), {});
  ASSIGN_OR_RETURN(out.socket_, take_socket(pair.first, options.program));
  return out;
}

Session::Session(Session&& other) noexcept : child_(std::move(other.child_)), socket_(std::move(other.socket_)) {
  other.child_.pid = 0;
}

Session::~Session() {
  socket_.reset();
  if (child_.pid <= 0) return;
  // It ends by itself when nobody talks to it any more, and undoes what it has begun.
  if (auto gone = sys::pidfd_wait(child_.pidfd, kEndMs); !gone.ok() || !*gone)
    (void)!sys::pidfd_send_signal(child_.pidfd, SIGKILL).ok();
  (void)!sys::waitpid(child_.pid).ok();
}

Error Session::ended() {
  std::string how = "ended without an answer";
  if (auto gone = sys::pidfd_wait(child_.pidfd, kEndMs); gone.ok() && *gone) {
    const auto status = sys::waitpid(child_.pid);
    child_.pid = 0;
    if (status.ok() && status->signal != 0) how = "was killed by " + sys::signal_name(status->signal);
    if (status.ok() && status->signal == 0) how += " (exit status " + std::to_string(status->code) + ")";
  }
  return {Errc::kSystem, "criu " + how};
}

Result<std::pair<Answer, UniqueFd>> Session::receive() {
  // Its end of the socket may be held by a process that it has begun to restore: its own end counts, too.
  std::array<struct pollfd, 2> either = {{{.fd = socket_.get(), .events = POLLIN, .revents = 0},
                                          {.fd = child_.pidfd.get(), .events = POLLIN, .revents = 0}}};
  while (::poll(either.data(), either.size(), -1) < 0) {
    if (errno != EINTR) return Error::from_errno(errno, "wait for criu");
  }
  if (either[0].revents == 0) return ended();
  auto message = sys::recv_message(socket_, kMaxAnswerBytes);
  if (!message.ok()) return std::move(message).error().with("answer of criu");
  if (message->eof) return ended();
  auto answer = parse_answer(message->data);
  if (!answer.ok()) return std::move(answer).error().with("answer of criu");
  return std::pair(std::move(*answer), message->fds.empty() ? UniqueFd() : std::move(message->fds.front()));
}

Result<Answer> Session::ask(const Request& request) {
  Status sent = sys::send_message(socket_, print_request(request));
  if (!sent.ok() && sent.error().errno_value() == EPIPE) return ended();
  if (!sent.ok()) return std::move(sent).error().with("request to criu");
  ASSIGN_OR_RETURN(auto received, receive());
  return std::move(received.first);
}

Result<Version> Session::version() {
  Request request;
  request.type = RequestType::kVersion;
  request.keep_open = true;
  ASSIGN_OR_RETURN(const Answer answer, ask(request));
  if (!answer.success || !answer.version) return Error(Errc::kUnsupported, "criu does not tell its version");
  return *answer.version;
}

Result<Features> Session::features(const Features& wanted) {
  Request request;
  request.type = RequestType::kFeatures;
  request.features = wanted;
  request.keep_open = true;
  ASSIGN_OR_RETURN(const Answer answer, ask(request));
  if (!answer.success)
    return Error(Errc::kUnsupported, "criu cannot tell what it can do on this kernel")
        .with_hint("'criu check' says what is wrong");
  return answer.features.value_or(Features{});
}

Result<Answer> Session::run(const Request& request, const Handler& handler) {
  Status sent = sys::send_message(socket_, print_request(request));
  if (!sent.ok() && sent.error().errno_value() == EPIPE) return ended();
  if (!sent.ok()) return std::move(sent).error().with("request to criu");
  Status handled;
  while (true) {
    auto received = receive();
    if (!received.ok()) return handled.ok() ? std::move(received).error() : std::move(handled).error();
    auto& [answer, fd] = *received;
    if (answer.type == RequestType::kNotify && answer.notification) {
      if (handled.ok()) handled = handler(*answer.notification, std::move(fd));
      Request reply;
      reply.type = RequestType::kNotify;
      reply.notified = handled.ok();
      if (Status told = sys::send_message(socket_, print_request(reply)); !told.ok() && handled.ok())
        handled = std::move(told).error().with("reply to criu");
      continue;
    }
    if (!handled.ok()) return std::move(handled).error();
    if (!answer.success) {
      Error error =
          answer.error > 0 ? Error::from_errno(answer.error, "criu failed") : Error(Errc::kSystem, "criu failed");
      return std::move(error).with_hint(last_errors(answer.message));
    }
    if (answer.type != request.type) return Error(Errc::kInternal, "criu answered another request");
    return std::move(answer);
  }
}

}  // namespace cooper::criu
