// The signals that end a program as a descriptor, so that it can tidy up first.
#pragma once

#include <signal.h>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::cli {

class StopSignals {
 public:
  // INT, TERM, HUP and QUIT; those that our caller has us ignore stay ignored.
  static Result<StopSignals> open();
  StopSignals(StopSignals&&) = default;
  StopSignals& operator=(StopSignals&&) = delete;
  // What came too late to stop anything acts now.
  ~StopSignals();

  BorrowedFd fd() const { return fd_; }
  // One has come and was not taken yet.
  bool pending() const;
  // The one that came.
  int taken();

 private:
  StopSignals() = default;
  UniqueFd fd_;
  sigset_t before_ = {};
};

}  // namespace cooper::cli
