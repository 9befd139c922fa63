// What people see while something takes long: on a terminal one line a layer, redrawn, with a bar, rate and time left;
// elsewhere one line when a layer has come or had to be tried again, and now and then one about what is at work.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "fetch/client.h"
#include "io/tty.h"

namespace cooper::cli {

// The window to draw in: what the terminal says, and of what it does not know (0) `columns` (the value of $COLUMNS, or
// null), else 24 rows of 80.
io::WindowSize window_to_draw(const Result<io::WindowSize>& terminal, const char* columns);

class LayerLines {
 public:
  enum class Where { kNowhere, kLines, kTerminal };
  explicit LayerLines(Where where) : where_(where) {}
  // For standard error.
  static Where place(bool quiet);
  // The same of what is known about it; `term` is the value of $TERM, or null.
  static Where place(bool quiet, bool is_terminal, const char* term);

  // What there is to write now, at `now_ms` of a clock that only goes forward, in a window of that size.
  std::string update(std::span<const fetch::TransferProgress> layers, std::int64_t now_ms, unsigned rows,
                     unsigned columns);
  // The same of work on this machine, of which nobody wants to keep a line.
  std::string work(std::span<const fetch::TransferProgress> items, std::int64_t now_ms, unsigned rows,
                   unsigned columns);
  // What takes away what was drawn last.
  std::string clear(unsigned columns);

 private:
  struct Seen {
    std::int64_t first_ms = 0;
    // For the rate: what was there at some time of the last seconds.
    std::int64_t mark_ms = 0;
    std::uint64_t mark_bytes = 0;
    std::uint64_t rate = 0;  // bytes a second; 0: not known yet
    std::int64_t told_ms = 0;
    std::uint64_t pauses = 0;
    bool told = false;
    bool told_resumed = false;
  };
  void measure(const fetch::TransferProgress& layer, std::int64_t now_ms);
  std::string terminal(std::span<const fetch::TransferProgress> layers, unsigned rows, unsigned columns);
  std::string lines(std::span<const fetch::TransferProgress> layers);
  std::string now_and_then(std::span<const fetch::TransferProgress> layers, std::int64_t now_ms);
  std::string up(unsigned columns) const;

  Where where_;
  std::map<std::string, Seen> seen_;
  std::vector<std::size_t> drawn_;  // columns of each line
};

}  // namespace cooper::cli
