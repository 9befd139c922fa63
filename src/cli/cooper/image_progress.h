// What people see while layers arrive or are sent: on a terminal one line a layer, redrawn, with rate and time left;
// elsewhere one line when a layer is complete or had to be tried again.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

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

  // What there is to write now, at `now_ms` of a clock that only goes forward, in a window of that size.
  std::string update(std::span<const fetch::TransferProgress> layers, std::int64_t now_ms, unsigned rows,
                     unsigned columns);

 private:
  struct Seen {
    std::int64_t first_ms = 0;
    std::uint64_t pauses = 0;
    bool told = false;
    bool told_resumed = false;
  };
  std::string terminal(std::span<const fetch::TransferProgress> layers, std::int64_t now_ms, unsigned rows,
                       unsigned columns);
  std::string lines(std::span<const fetch::TransferProgress> layers);

  Where where_;
  std::map<std::string, Seen> seen_;
  unsigned drawn_ = 0;
};

}  // namespace cooper::cli
