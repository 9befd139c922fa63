// What `run`, `attach`, `pod run` and `pod run-prepared` share: a session until its end, and plans instead of a start.
#pragma once

#include <string>

#include "base/error.h"
#include "cli/cooper/args.h"
#include "cli/cooper/command.h"
#include "cli/cooper/session.h"
#include "pod/pod.h"

namespace cooper::cli {

using ForegroundOptions = SessionOptions;

// --detach-keys and --sig-proxy.
Result<ForegroundOptions> foreground_options(const Args& args, const Settings& settings);

// podman's warning for -it without a terminal.
void warn_without_terminal(const Context& context, const pod::AppRequest& app);

// A start whose caller shows the (only) app.
monitor::LaunchOptions attached_launch(bool terminal, bool stdin_open);

// Session with an attached client until the app ends. owner: also until everything of the pod is cleaned up. The exit
// status.
Result<int> run_in_foreground(const pod::Engine& engine, const PodUuid& uuid, UniqueFd client,
                              ForegroundOptions options, SignalInbox signals);

// Says how the program after an app failed, if it did.
void warn_of_post_stop(const monitor::ExitRecord& record);

// The exit status a session ended with; dies by the signal that ended it, if one did.
Result<int> status_of(const pod::Engine& engine, const PodUuid& uuid, const SessionEnd& end, const std::string& app);

Result<int> print_plans(const Context& context, pod::Engine& engine, const pod::PodRequest& request);

}  // namespace cooper::cli
