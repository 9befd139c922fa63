// What people see of work on this machine that takes long, on standard error: what is known to be done in lines that
// are redrawn a few times a second and taken away at the end; where that is no terminal, a line now and then.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/cooper/image_progress.h"
#include "image/progress.h"

namespace cooper::cli {

// The items behind what image::Progress tells.
class WorkItems {
 public:
  // True: it is another one than the time before.
  bool update(std::string_view what, std::uint64_t done_bytes, std::uint64_t total_bytes);
  std::span<const fetch::TransferProgress> items() const { return items_; }
  void clear() { items_.clear(); }

 private:
  std::vector<fetch::TransferProgress> items_;
  std::size_t current_ = 0;
};

class ProgressDisplay {
 public:
  // Not moved while a callback of it is in use.
  explicit ProgressDisplay(bool quiet);
  ~ProgressDisplay() { clear(); }
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;

  // As image::Progress; an empty name takes away what is drawn.
  void update(std::string_view what, std::uint64_t done_bytes, std::uint64_t total_bytes);
  // Empty when nothing is to be shown.
  image::Progress callback();
  void clear();

 private:
  LayerLines::Where where_;
  LayerLines lines_;
  WorkItems work_;
  std::int64_t begun_ms_ = 0;  // 0: nothing yet
  std::int64_t drawn_ms_ = 0;
};

}  // namespace cooper::cli
