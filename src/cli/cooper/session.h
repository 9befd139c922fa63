// A foreground session with an app: `run` and `attach`. Streams, terminal, signals and detach keys between this process
// and the pod's monitor.
#pragma once

#include <string>

#include "base/error.h"
#include "cli/cooper/relay.h"
#include "monitor/client.h"

namespace cooper::cli {

struct SessionOptions {
  std::string app;
  bool terminal = false;    // the app has one
  bool stdin_open = false;  // our standard input goes to the app
  bool sig_proxy = true;
  bool owner = false;       // run: when our output has no reader any more, the app is stopped
  std::string detach_keys;  // bytes; empty: none
};

struct SessionEnd {
  enum class Kind {
    kExited,    // record says how
    kDetached,  // the app runs on
    kDropped,   // the monitor let us go; why
    kLost,      // the monitor was killed
    kSignal,    // --sig-proxy=false, and this signal came
  };
  Kind kind = Kind::kLost;
  monitor::ExitRecord record;
  std::string why;
  int signal = 0;
  bool pod_ended = false;  // kPodExit was seen
  int write_error = 0;     // errno: output of the app could not be written to ours, and is lost
};

// `client` is attached. `signals` of an owner are older than the app: what arrives while it starts is passed on.
// Returns when the app ended, and after the last byte of its output was written.
Result<SessionEnd> run_session(monitor::Client& client, const SessionOptions& options, SignalInbox signals);

// Waits for the pod's end after a session (clean-up done, lock free). Signals act on this process meanwhile.
Result<SessionEnd> wait_for_pod(monitor::Client& client);

}  // namespace cooper::cli
