// criu as a helper program that serves one request after the other over a socket ("criu swrk").
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "criu/rpc.h"
#include "sys/process.h"

namespace cooper::criu {

// In $PATH, or without one in the usual places. Errc::kNotFound says what to install.
Result<std::string> find_program();

// The last errors in a log of criu, joined; the last line when it names none. At most a few hundred bytes.
std::string last_errors(std::string_view log);

struct SessionOptions {
  std::string program;
  // A directory that becomes a mount point at `mount_at`, for criu alone: it gets a mount namespace of its own, in
  // which the file system with `mount_at` passes nothing on to others. What criu restores sees it; the host never does.
  std::string mount_from, mount_at;
  // Opened in that namespace: descriptors kFirstDirectory, kFirstDirectory + 1 ... of criu.
  std::vector<std::string> directories;
  // Descriptors of ours that criu has too, after the directories. The standard streams are always passed.
  std::vector<int> passed;
};

class Session {
 public:
  static constexpr int kFirstDirectory = 4;

  // The caller must be single-threaded. criu runs until the session is destroyed, or a request has ended that keeps
  // nothing open.
  static Result<Session> start(const SessionOptions& options);
  Session(Session&&) noexcept;
  Session& operator=(Session&&) = delete;
  // Ends criu, with whatever it is doing: what it has frozen is thawed when it sees the socket closed.
  ~Session();

  pid_t pid() const { return child_.pid; }
  // Which version it is. May be asked before anything else.
  Result<Version> version();
  // What of `wanted` criu and the kernel can do together.
  Result<Features> features(const Features& wanted);
  // A notification and the descriptor that came with it, if any. An error makes criu give up, and is what run()
  // returns.
  using Handler = std::function<Status(const Notification&, UniqueFd)>;
  // Until the answer. Failure of criu: Errc::kSystem with its errno and words, not those of its log.
  Result<Answer> run(const Request& request, const Handler& handler);

 private:
  Session(sys::Cloned child, UniqueFd socket) : child_(std::move(child)), socket_(std::move(socket)) {}
  Result<Answer> ask(const Request& request);
  Result<std::pair<Answer, UniqueFd>> receive();
  Error ended();

  sys::Cloned child_;
  UniqueFd socket_;
};

}  // namespace cooper::criu
