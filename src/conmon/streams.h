// The monitor's ends of a container's standard streams: pipes, or a terminal.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "io/event_loop.h"
#include "io/tty.h"
#include "monitor/protocol.h"

namespace cooper::conmon {

// What the runtime starts with. An empty one is /dev/null.
struct ChildStdio {
  UniqueFd in, out, err;
};

class Streams {
 public:
  static constexpr std::size_t kInputLimit = std::size_t{256} << 10;

  struct Hooks {
    std::function<void(monitor::protocol::Stream, std::string_view)> output;
    std::function<void()> drained;     // all there was has been read
    std::function<bool()> held;        // nothing may be read now
    std::function<void(bool)> choked;  // too much input waits; or no longer
  };
  Streams(io::EventLoop& loop, Hooks hooks) : loop_(loop), hooks_(std::move(hooks)) {}
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;

  // Output, errors and, if asked for, input. With a terminal there is only the pipe for errors, for the runtime's own
  // words. Errors are kept back until release_errors().
  Result<ChildStdio> make_pipes(bool terminal, bool with_input);
  Status take_terminal(UniqueFd terminal);
  // What came on the error stream so far: the runtime's last words. They are not output then.
  std::string take_errors();
  // They were output after all.
  void release_errors();

  void write_input(std::string_view data);
  // A terminal has no end of input.
  void close_input();
  // Before there is a terminal: of the one that comes.
  void resize(std::uint16_t rows, std::uint16_t columns);
  // Asks held() again.
  void update_flow();
  // The container has ended: reads what is left, without waiting for processes that still have the streams.
  void drain();

 private:
  struct Source {
    UniqueFd fd;
    monitor::protocol::Stream stream = monitor::protocol::Stream::kStdout;
    bool watched = false;
    bool asleep = false;  // a timer watches it again
  };
  enum class Read { kSome, kNothing, kEnd };
  Status watch(Source& source);
  void unwatch(Source& source);
  void on_readable(Source& source);
  Read read_once(Source& source);
  void deliver(monitor::protocol::Stream stream, std::string_view data);
  void end_or_retry(Source& source);
  void flush_input();
  void lose_input();

  io::EventLoop& loop_;
  Hooks hooks_;
  std::array<Source, 2> sources_;
  bool terminal_ = false;
  std::optional<io::WindowSize> size_;  // of a terminal that is not there yet
  bool keep_errors_ = false;
  std::string errors_;

  UniqueFd in_;
  std::string in_buffer_;
  std::size_t in_offset_ = 0;
  bool in_watched_ = false, in_end_ = false, choked_ = false;
};

}  // namespace cooper::conmon
