// One app under the monitor: its pipes or terminal, its log, its end.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "io/event_loop.h"
#include "monitor/internal/hub.h"
#include "monitor/log_writer.h"
#include "monitor/monitor.h"
#include "monitor/protocol.h"

namespace cooper::monitor::internal {

// The buffer all streams are read into; its pages are given back when nothing was read for a while.
class Scratch {
 public:
  static constexpr std::size_t kSize = std::size_t{64} << 10;
  static Result<Scratch> create();
  std::span<char> span() { return {memory_, kSize}; }
  void release_memory();

 private:
  explicit Scratch(char* memory) : memory_(memory) {}
  char* memory_;  // mapped for the life of the process
};

class App {
 public:
  static constexpr std::size_t kStdinLimit = std::size_t{64} << 10;
  static constexpr int kDrainMs = 100;
  static constexpr std::size_t kDrainLimit = std::size_t{4} << 20;

  App(AppSpec spec, int index, io::EventLoop& loop, Hub& hub, Scratch& scratch)
      : spec_(std::move(spec)), index_(index), loop_(loop), hub_(hub), scratch_(scratch) {
    record_.app = spec_.name;
  }
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  // Log file, pipes; completes spec().create.
  Status prepare(BorrowedFd pod_dir);
  // Takes the created process; closes the app's ends of the pipes; starts reading.
  Status adopt(container::Created created);
  // What only the creation needed.
  void forget_config();
  // Takes the post-stop program's configuration for the app's own, with fresh pipes; adopt() follows.
  Status prepare_post_stop(PostStop post_stop);
  // Instead of adopt().
  void drop_streams();

  const AppSpec& spec() const { return spec_; }
  AppSpec& spec() { return spec_; }
  const std::string& id() const { return spec_.create.id; }
  BorrowedFd pidfd() const { return pidfd_; }
  pid_t pid() const { return pid_; }
  bool running() const { return pid_ != 0; }
  void mark_reaped() { pid_ = 0; }
  bool terminal() const { return spec_.terminal; }

  bool stdin_open() const { return spec_.stdin_open; }
  bool stdin_has_room() const { return in_buffer_.size() - in_offset_ < kStdinLimit; }
  void write_stdin(std::string_view data);
  void close_stdin();
  void resize(std::uint16_t height, std::uint16_t width);

  // Reads or does not read, as the hub's clients can take it.
  void update_flow();
  // After the end of the process: reads what is there, up to end of file or, when somebody else still holds the write
  // ends, for kDrainMs at most (and no more than kDrainLimit while a client holds back). Then done() is called, once.
  void drain(std::function<void()> done);

  Status reopen_log() { return log_.reopen(); }
  std::uint64_t log_lost_bytes() const { return log_.lost_bytes(); }
  void release_memory() { log_.release_memory(); }
  // Whether bytes went through since the last call; on_active_ tells of the first afterwards.
  bool was_active() { return std::exchange(active_, false); }

  ExitRecord record_;
  bool ended_ = false;  // record_ is complete
  bool own_pid_namespace_ = false;
  bool in_post_stop_ = false;    // the process is that of the post-stop program
  bool post_stop_late_ = false;  // it had to be killed
  std::string exit_json_;        // of record_, for clients
  io::EventLoop::TimerId kill_timer_ = 0;
  std::function<void()> on_active_;

 private:
  struct Source {
    UniqueFd fd;
    protocol::Stream stream = protocol::Stream::kStdout;
    bool watched = false;
  };
  Status prepare_streams();
  Status make_pipes();
  void own_by_app_user(BorrowedFd fd) const;
  Status watch(Source& source);
  void unwatch(Source& source);
  void on_readable(Source& source);
  // False when there is nothing more now.
  bool read_once(Source& source);
  void end_source(Source& source);
  void retry_terminal(Source& source);
  void deliver(protocol::Stream stream, std::string_view data);
  void flush_stdin();
  void lose_stdin();
  void finish_drain();
  void touch();

  AppSpec spec_;
  int index_;
  io::EventLoop& loop_;
  Hub& hub_;
  Scratch& scratch_;

  pid_t pid_ = 0;
  UniqueFd pidfd_;
  std::array<Source, 2> sources_;
  std::array<UniqueFd, 3> child_ends_;
  LogWriter log_;
  bool partial_timer_ = false;
  bool active_ = false;

  UniqueFd in_;  // write end of the pipe, or a second descriptor of the terminal
  std::string in_buffer_;
  std::size_t in_offset_ = 0;
  bool in_watched_ = false;
  bool in_eof_ = false;  // close when the buffer is empty

  bool draining_ = false;
  std::size_t drained_ = 0;
  io::EventLoop::TimerId drain_timer_ = 0;
  std::function<void()> drain_done_;
};

}  // namespace cooper::monitor::internal
