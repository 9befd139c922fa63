#include "cli/cooper/foreground.h"

#include <unistd.h>

#include "base/strings.h"
#include "cli/cooper/detach_keys.h"
#include "cli/cooper/relay.h"
#include "cli/cooper/target.h"
#include "codec/json.h"
#include "container/plan.h"
#include "io/tty.h"
#include "log/log.h"
#include "log/steps.h"

namespace cooper::cli {

Result<ForegroundOptions> foreground_options(const Args& args, const Settings& settings) {
  ForegroundOptions options;
  auto keys = parse_detach_keys(args.last("detach-keys").value_or(settings.detach_keys));
  if (!keys.ok()) return std::move(keys).error().with("--detach-keys");
  options.detach_keys = std::move(keys).value();
  options.sig_proxy = args.enabled("sig-proxy", true);
  return options;
}

void warn_without_terminal(const Context& context, const pod::AppRequest& app) {
  if (!app.terminal || !app.stdin_open || io::is_terminal(BorrowedFd(STDIN_FILENO))) return;
  report(context,
         Error(Errc::kInvalidArgument, "warning: standard input is no terminal, so -t may not behave as expected"));
}

monitor::LaunchOptions attached_launch(bool terminal, bool stdin_open) {
  monitor::LaunchOptions launch;
  launch.attach = true;
  launch.attach_stdin = stdin_open;
  const auto size = terminal ? io::caller_window_size() : std::nullopt;
  if (size) launch.console_size = oci::ConsoleSize{size->rows, size->columns};
  return launch;
}

Result<int> run_in_foreground(const pod::Engine& engine, const PodUuid& uuid, UniqueFd client,
                              ForegroundOptions options, SignalInbox signals) {
  ASSIGN_OR_RETURN(monitor::Client connection, monitor::Client::adopt(std::move(client)));
  if (options.app.empty() && connection.hello().apps.size() == 1) options.app = connection.hello().apps.front();
  ASSIGN_OR_RETURN(const SessionEnd end, run_session(connection, options, std::move(signals)));
  if (end.kind == SessionEnd::Kind::kExited) {
    log::step("app has ended", [&] {
      return log::Fields{{"app", end.record.app},
                         {"exit_code", std::to_string(end.record.exit_code)},
                         {"ran_ms", std::to_string(end.record.finished_unix_ms - end.record.started_unix_ms)}};
    });
  }
  if (options.owner && end.kind == SessionEnd::Kind::kExited && !end.pod_ended) {
    ASSIGN_OR_RETURN(const SessionEnd pod_end, wait_for_pod(connection));
    if (!pod_end.pod_ended) {
      auto waited = engine.wait(uuid, {});
      if (!waited.ok() && waited.error().code() != Errc::kNotFound) return std::move(waited).error();
    }
  }
  return status_of(engine, uuid, end, options.app);
}

void warn_of_post_stop(const monitor::ExitRecord& record) {
  if (record.post_stop_error.empty()) return;
  log::warning("the post-stop handler of app " + quoted(record.app) + " failed: " + record.post_stop_error);
}

Result<int> status_of(const pod::Engine& engine, const PodUuid& uuid, const SessionEnd& end, const std::string& app) {
  // A caller who takes the output for complete must not see success.
  if (end.write_error != 0) return Error::from_errno(end.write_error, "write to standard output");
  switch (end.kind) {
    case SessionEnd::Kind::kExited:
      warn_of_post_stop(end.record);
      return end.record.exit_code;
    case SessionEnd::Kind::kDetached:
      return 0;
    case SessionEnd::Kind::kDropped:
      return Error(Errc::kLimit, "the monitor let this client go: " + end.why)
          .with_hint("the app runs on; cooper logs has its output");
    case SessionEnd::Kind::kSignal:
      die_by_signal(end.signal);
    case SessionEnd::Kind::kLost:
      break;
  }
  // The guardian writes the records that the monitor could not.
  auto record = engine.wait(uuid, app);
  if (!record.ok()) return Error(Errc::kSystem, "the monitor of pod " + uuid.str() + " was killed");
  warn_of_post_stop(*record);
  if (!record->error.empty()) return Error(Errc::kSystem, "app " + quoted(record->app) + ": " + record->error);
  return record->exit_code;
}

Result<int> print_plans(const Context& context, pod::Engine& engine, const pod::PodRequest& request) {
  ASSIGN_OR_RETURN(const std::vector<container::Plan> plans, engine.plan(request));
  if (context.json()) {
    codec::json::Writer out = context.json_writer();
    out.begin_object().key("plans").begin_array();
    for (const container::Plan& plan : plans) {
      ASSIGN_OR_RETURN(const codec::json::Document document,
                       codec::json::Document::parse(container::print_json(plan), "plan"));
      out.value(document.root());
    }
    out.end_array().end_object();
    RETURN_IF_ERROR(print_json(out));
    return 0;
  }
  for (const container::Plan& plan : plans) {
    if (plans.size() > 1) RETURN_IF_ERROR(print(plan.id + "\n"));
    RETURN_IF_ERROR(print(container::print_text(plan)));
  }
  return 0;
}

}  // namespace cooper::cli
