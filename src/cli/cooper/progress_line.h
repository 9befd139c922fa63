// One line on a terminal, redrawn a few times a second and taken away at the end: how far something has come.
#pragma once

#include <cstdint>
#include <string_view>

namespace cooper::cli {

class ProgressLine {
 public:
  // On standard error; nothing is shown where that is no terminal.
  explicit ProgressLine(bool shown);
  ~ProgressLine() { clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // `total` 0: not known.
  void update(std::string_view what, std::uint64_t done_bytes, std::uint64_t total_bytes);
  void clear();

 private:
  bool shown_;
  std::int64_t drawn_ms_ = 0;
};

}  // namespace cooper::cli
