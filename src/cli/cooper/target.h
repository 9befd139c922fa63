// What arguments name: a pod by name, uuid or prefix of it, and one of its apps: POD or POD/APP.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/cooper/command.h"
#include "pod/pod.h"

namespace cooper::cli {

struct Target {
  PodUuid uuid;
  std::string app;  // empty: not named
};
// What the verb calls its arguments, for messages.
enum class Noun { kContainer, kPod };
Result<Target> find_target(const pod::Engine& engine, std::string_view text, Noun noun = Noun::kContainer);

// Of words that name images of the store: Errc::kInvalidArgument for one that cannot. Before the engine is opened, so
// that it is a wrong command line.
Status check_images(std::span<const std::string> words);

// One row of ps: an app with its pod.
struct Row {
  const pod::PodInfo* pod;
  const pod::AppInfo* app;
  // Unique name: that of the pod (or its short uuid), with "/app" in pods of several apps.
  std::string name() const;
};
std::vector<Row> rows(const std::vector<pod::PodInfo>& pods);

// The app a verb works on: the named one, or the only one. Errc::kInvalidArgument names the apps when there are
// several.
Result<const pod::AppInfo*> select_app(const pod::PodInfo& pod, std::string_view app);

// Does one thing for each argument: prints the argument when done, reports each failure and goes on. The exit status.
struct Wanted {
  Noun noun = Noun::kContainer;
  bool may_be_absent = false;  // what is not there is passed over in silence
};
template <typename F>
Result<int> for_each_target(const Context& context, const Args& args, F work, Wanted wanted = {});

// rm: what does not run goes; with force what runs is killed first (after timeout_ms of patience with the stop signal).
struct RemoveOptions {
  bool force = false;
  int timeout_ms = 0;
};
// --force and --time.
Result<RemoveOptions> remove_options(const Args& args);
Status remove_pod(const pod::Engine& engine, const PodUuid& uuid, const RemoveOptions& options);
// --time of stop; -1 when absent.
Result<int> timeout_flag(const Args& args);

void report(const Context& context, const Error& error);

// ---- implementation
template <typename F>
Result<int> for_each_target(const Context& context, const Args& args, F work, Wanted wanted) {
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  int status = 0;
  for (const std::string& text : args.positional()) {
    auto target = find_target(engine, text, wanted.noun);
    if (!target.ok() && wanted.may_be_absent && target.error().code() == Errc::kNotFound) continue;
    Status done = target.ok() ? work(engine, *target) : Status(std::move(target).error());
    if (done.ok()) done = print(text + "\n");
    if (done.ok()) continue;
    report(context, done.error());
    status = kExitFailure;
  }
  return status;
}

}  // namespace cooper::cli
