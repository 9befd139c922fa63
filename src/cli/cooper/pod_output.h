// The output of several apps at once: their logs, line by line, each with the app's name.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "cli/cooper/relay.h"
#include "monitor/client.h"
#include "pod/pod.h"

namespace cooper::cli {

// Follows the log files of every app from their beginning until the pod has ended (its clean-up included). SIGINT,
// SIGTERM, SIGHUP and SIGQUIT stop the pod, also those that came while it started. `client` is a connection to the
// pod's monitor. Returns the records of the apps.
Result<std::vector<monitor::ExitRecord>> follow_pod(pod::Engine& engine, const PodUuid& uuid, monitor::Client& client,
                                                    SignalInbox signals);
// The logs of a pod that has ended already.
Status show_ended(const pod::Engine& engine, const PodUuid& uuid);

}  // namespace cooper::cli
