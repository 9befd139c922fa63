// What images that lie on this machine are loaded under, whatever the verb: people see how far it is, and a signal ends
// it.
#pragma once

#include <optional>

#include "base/error.h"
#include "cli/cooper/progress_display.h"
#include "cli/cooper/relay.h"
#include "cli/cooper/stop_signals.h"
#include "image/store.h"

namespace cooper::cli {

class LoadWatch {
 public:
  explicit LoadWatch(bool quiet) : progress_(quiet) {}

  // From here on; the options are good for one load, which this must outlive.
  Status begin(image::LoadOptions& options) {
    ASSIGN_OR_RETURN(StopSignals opened, StopSignals::open());
    signals_.emplace(std::move(opened));
    options.cancel = signals_->fd();
    options.progress = progress_.callback();
    return {};
  }
  // Takes away what is drawn, and ends the process by the signal that cancelled the load: not before everything was
  // taken away that was begun.
  template <typename T>
  void end(const Result<T>& done) {
    progress_.clear();
    if (!done.ok() && done.error().code() == Errc::kCancelled) die_by_signal(signals_->taken());
  }

 private:
  std::optional<StopSignals> signals_;
  ProgressDisplay progress_;
};

}  // namespace cooper::cli
