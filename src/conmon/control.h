// The fifos 'ctl' and 'winsz' of a bundle: the size of the terminal, and new log files.
//
// ctl:    "1 ROWS COLUMNS\n" sets the size, "2 0 0\n" opens the log files again.
// winsz:  "ROWS COLUMNS\n" sets the size.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "io/event_loop.h"

namespace cooper::conmon {

struct ControlHooks {
  std::function<void(std::uint16_t rows, std::uint16_t columns)> resize;
  std::function<void()> reopen_logs;
};

// One line of a fifo; what is no request of those above is passed over. Exposed for tests.
enum class Fifo { kControl, kWindowSize };
void handle_line(Fifo fifo, std::string_view line, const ControlHooks& hooks);

class Control {
 public:
  Control(io::EventLoop& loop, ControlHooks hooks) : loop_(loop), hooks_(std::move(hooks)) {}
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  // Replaces what has these names in `directory`.
  Status open(const std::string& directory);

 private:
  struct Channel {
    UniqueFd fd;
    Fifo fifo;
    std::string text;  // of a line that has no end yet
  };
  Status open_one(const std::string& path, Channel& channel);
  void on_readable(Channel& channel);

  io::EventLoop& loop_;
  ControlHooks hooks_;
  Channel control_{UniqueFd(), Fifo::kControl, {}};
  Channel window_size_{UniqueFd(), Fifo::kWindowSize, {}};
};

}  // namespace cooper::conmon
