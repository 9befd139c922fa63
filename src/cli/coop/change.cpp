// kill, delete, pause, resume.
#include <fcntl.h>
#include <signal.h>

#include "base/strings.h"
#include "cli/coop/commands.h"
#include "cli/coop/notify.h"
#include "io/file.h"
#include "sys/file.h"
#include "sys/tables.h"

namespace cooper::cli::coop {

Result<int> run_kill(const Call& call) {
  const auto& words = call.arguments.positional();
  int signal = SIGTERM;
  // Empty words are flags that a caller has left out. 0 only asks whether the process is there.
  if (words.size() > 1 && !words[1].empty()) {
    const auto named = words[1] == "0" ? std::optional<int>(0) : sys::signal_from_name(words[1]);
    if (!named) return Error(Errc::kInvalidArgument, "unknown signal " + quoted(words[1]));
    signal = *named;
  }
  ASSIGN_OR_RETURN(auto container, call.load());
  RETURN_IF_ERROR(container.kill(signal, call.arguments.flag("all")));
  return 0;
}

Result<int> run_delete(const Call& call) {
  const bool force = call.arguments.flag("force");
  auto container = force ? call.factory().load_for_removal(call.id()) : call.load();
  Status done = container.ok() ? container->destroy(force) : Status(std::move(container).error());
  // Callers clean up twice: what is gone already is a success for them.
  if (!done.ok() && !(force && done.error().code() == Errc::kNotFound)) return std::move(done).error();
  NotifyProxy::remove(call.globals.root, call.id());
  return 0;
}

Result<int> run_pause(const Call& call) {
  ASSIGN_OR_RETURN(auto container, call.load());
  RETURN_IF_ERROR(container.pause());
  return 0;
}

Result<int> run_resume(const Call& call) {
  ASSIGN_OR_RETURN(auto container, call.load());
  RETURN_IF_ERROR(container.resume());
  return 0;
}

}  // namespace cooper::cli::coop
