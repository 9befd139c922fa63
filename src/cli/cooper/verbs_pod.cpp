// pod: several apps that share namespaces, and the life of their directories. rkt's grammar and words.
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <climits>

#include "base/strings.h"
#include "cli/cooper/aci_run.h"
#include "cli/cooper/command.h"
#include "cli/cooper/describe.h"
#include "cli/cooper/foreground.h"
#include "cli/cooper/image_policy.h"
#include "cli/cooper/pod_output.h"
#include "cli/cooper/progress_display.h"
#include "cli/cooper/pull.h"
#include "cli/cooper/relay.h"
#include "cli/cooper/run_request.h"
#include "cli/cooper/start_failure.h"
#include "cli/cooper/target.h"
#include "cli/cooper/time_text.h"
#include "io/file.h"
#include "sys/file.h"

namespace cooper::cli {
namespace {

constexpr std::array<Flag, 5> kRunFlags = {{
    {"detach", 'd', "", "in the background; the uuid is printed"},
    {"uuid-file-save", 0, "FILE", "write the uuid to this file", Flag::Complete::kFile},
    {"detach-keys", 0, "KEYS", "keys that leave a single app with a terminal running (default ctrl-p,ctrl-q)"},
    {"dry-run", 0, "", "print the steps of the start and do nothing"},
    kPolicyFlags[0],
}};
constexpr std::array<Flag, 3> kPrepareFlags = {{
    {"quiet", 'q', "", "nothing but the uuid (always so; for scripts of rkt)"},
    {"uuid-file-save", 0, "FILE", "write the uuid to this file", Flag::Complete::kFile},
    kPolicyFlags[0],
}};
constexpr std::array<Flag, 2> kLsFlags = {
    {{"full", 0, "", "uuids in full, and ids of images"}, {"no-legend", 0, "", "without the headings"}}};
constexpr std::array<Flag, 1> kStatusFlags = {{{"wait", 0, "", "first wait for the pod's end"}}};
constexpr std::array<Flag, 2> kStopFlags = {{
    {"force", 0, "", "kill at once"},
    {"time", 't', "SECONDS", "time before KILL (default: that of the pod)"},
}};
constexpr std::array<Flag, 2> kRmFlags = {{
    {"force", 'f', "", "also running ones, which are killed"},
    {"time", 't', "SECONDS", "with --force: time between the stop signal and KILL (default 0)"},
}};
constexpr std::array<Flag, 3> kGcFlags = {{
    {"grace-period", 0, "DURATION", "how long ended pods are kept (default 30m)"},
    {"expire-prepared", 0, "DURATION", "how long prepared pods are kept (default 24h)"},
    {"mark-only", 0, "", "only mark, delete nothing"},
}};
constexpr std::array<Flag, 1> kCatFlags = {{{"pretty-print", 0, "", "indent the JSON (default true)"}}};

constexpr std::string_view kGrammar =
    "Flags before the first IMAGE are the pod's. Flags after an IMAGE are that app's, those of cooper run; -- begins "
    "the app's arguments, and --- ends them, so that another IMAGE can follow:\n"
    "cooper pod run busybox --name server -- nc -l -p 80 --- busybox --name client -- nc 127.0.0.1 80\n"
    "The apps share the network, the host name, IPC and the process tree; each has its own root file system.\n"
    "The exit status of a run is that of the first app, in the order given, which did not end with 0; it is 0 when all "
    "did. With -d it is 0 as soon as all run.";

constexpr std::string_view kAppGrammar = "IMAGE [APP FLAGS] [-- ARG...] [--- IMAGE ...]";

Status save_uuid(const Args& args, const PodUuid& uuid) {
  const auto path = args.last("uuid-file-save");
  if (!path) return {};
  auto saved = io::write_file_atomic(*path, uuid.str() + "\n");
  if (!saved.ok()) return std::move(saved).error().with("--uuid-file-save");
  return {};
}

int pod_status(const std::vector<monitor::ExitRecord>& records) {
  const auto failed =
      std::ranges::find_if(records, [](const monitor::ExitRecord& record) { return record.exit_code != 0; });
  return failed == records.end() ? 0 : failed->exit_code;
}

Result<std::vector<monitor::ExitRecord>> stored_records(const pod::Engine& engine, const PodUuid& uuid) {
  auto waited = engine.wait(uuid, {});
  if (!waited.ok()) return std::move(waited).error();
  ASSIGN_OR_RETURN(const pod::PodInfo info, engine.info(uuid));
  std::vector<monitor::ExitRecord> records;
  for (const pod::AppInfo& app : info.apps) {
    if (app.exit) records.push_back(*app.exit);
  }
  return records;
}

// Several apps: their logs, until all have ended.
Result<int> show_apps(pod::Engine& engine, const PodUuid& uuid, SignalInbox signals) {
  auto socket = engine.monitor_socket(uuid);
  std::vector<monitor::ExitRecord> records;
  if (socket.ok()) {
    ASSIGN_OR_RETURN(monitor::Client client, monitor::Client::adopt(std::move(socket).value()));
    ASSIGN_OR_RETURN(records, follow_pod(engine, uuid, client, std::move(signals)));
  } else if (socket.error().code() != Errc::kWrongState) {
    return std::move(socket).error();
  } else {
    RETURN_IF_ERROR(show_ended(engine, uuid));
  }
  if (records.empty()) {
    ASSIGN_OR_RETURN(records, stored_records(engine, uuid));
  }
  std::ranges::for_each(records, warn_of_post_stop);
  return pod_status(records);
}

struct Start {
  bool detach = false;
  bool one_app = false;
  bool terminal = false, stdin_open = false;
  bool remove = false;  // after the end, by us: logs are read until then
};

// From started to the exit status; shared by run and run-prepared.
Result<int> after_start(pod::Engine& engine, const Args& args, const Settings& settings, pod::RunResult started,
                        const Start& how, std::optional<SignalInbox> signals) {
  if (how.detach) {
    RETURN_IF_ERROR(print(started.uuid.str() + "\n"));
    return 0;
  }
  if (how.one_app) {
    ASSIGN_OR_RETURN(ForegroundOptions options, foreground_options(args, settings));
    options.terminal = how.terminal;
    options.stdin_open = how.stdin_open;
    options.owner = true;
    return run_in_foreground(engine, started.uuid, std::move(started.launched.client), std::move(options),
                             std::move(*signals));
  }
  Result<int> status = show_apps(engine, started.uuid, std::move(*signals));
  if (how.remove) {
    Status removed = engine.remove(started.uuid, {});
    if (!removed.ok() && status.ok()) return std::move(removed).error();
  }
  return status;
}

monitor::LaunchOptions launch_options(const Start& how) {
  if (how.detach || !how.one_app) return {};
  return attached_launch(how.terminal, how.stdin_open);
}

WantedImage wanted_images(const Args& args) {
  return {.access = {.quiet = args.enabled("quiet")}, .signature_policy = args.last("signature-policy").value_or("")};
}

Result<int> run(const Context& context, const Args& args) {
  std::vector<std::string> signatures;
  ASSIGN_OR_RETURN(pod::PodRequest request, pod_request(args, context.settings(), real_surroundings(), &signatures));
  ASSIGN_OR_RETURN(pod::Engine engine, context.engine());
  if (args.enabled("dry-run")) {
    auto printed = print_plans(context, engine, request);
    if (!printed.ok()) return explain_image(std::move(printed).error(), request);
    return printed;
  }
  Start how;
  how.detach = args.enabled("detach");
  how.one_app = request.apps.size() == 1;
  how.terminal = request.apps.front().terminal;
  how.stdin_open = request.apps.front().stdin_open;
  if (!how.one_app && !how.detach) {
    if (std::ranges::any_of(request.apps, [](const pod::AppRequest& app) { return app.stdin_open; })) {
      return Error(Errc::kInvalidArgument, "--interactive works with one image only")
          .with_hint("use -d, and cooper attach POD/APP");
    }
    how.remove = request.remove_on_exit;
    request.remove_failed_start = how.remove;
    request.remove_on_exit = false;
  }
  RETURN_IF_ERROR(bring_places(context, engine, wanted_images(args), request.apps));
  RETURN_IF_ERROR(bring_acis(context, engine, args, {.quiet = args.enabled("quiet")}, request.apps, signatures));
  if (!how.detach && how.one_app) warn_without_terminal(context, request.apps.front());
  ASSIGN_OR_RETURN(auto signals, SignalInbox::open_if(!how.detach));
  ProgressDisplay progress(args.enabled("quiet"));
  engine.watch_unpacking(progress.callback());
  auto started = engine.run(request, launch_options(how), image_fetcher(context, wanted_images(args)));
  if (!started.ok()) {
    const Error error = explain_image(std::move(started).error(), request);
    report(context, error);
    return start_failure_status(error);
  }
  RETURN_IF_ERROR(save_uuid(args, started->uuid));
  return after_start(engine, args, context.settings(), std::move(started).value(), how, std::move(signals));
}

Result<int> prepare(const Context& context, const Args& args) {
  std::vector<std::string> signatures;
  ASSIGN_OR_RETURN(pod::PodRequest request, pod_request(args, context.settings(), real_surroundings(), &signatures));
  ASSIGN_OR_RETURN(pod::Engine engine, context.engine());
  RETURN_IF_ERROR(bring_places(context, engine, wanted_images(args), request.apps));
  RETURN_IF_ERROR(bring_acis(context, engine, args, {.quiet = args.enabled("quiet")}, request.apps, signatures));
  ProgressDisplay progress(args.enabled("quiet"));
  engine.watch_unpacking(progress.callback());
  auto prepared = engine.prepare(request, image_fetcher(context, wanted_images(args)));
  if (!prepared.ok()) return explain_image(std::move(prepared).error(), request);
  const PodUuid uuid = std::move(prepared).value();
  RETURN_IF_ERROR(save_uuid(args, uuid));
  RETURN_IF_ERROR(print(uuid.str() + "\n"));
  return 0;
}

Result<int> run_prepared(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(pod::Engine engine, context.engine());
  ASSIGN_OR_RETURN(const PodUuid uuid, engine.find(args.positional().front()));
  ASSIGN_OR_RETURN(const pod::PodInfo info, engine.info(uuid));
  Start how;
  how.detach = args.enabled("detach");
  how.one_app = info.apps.size() == 1;
  how.terminal = how.one_app && info.apps.front().terminal;
  how.stdin_open = args.enabled("interactive");
  ASSIGN_OR_RETURN(auto signals, SignalInbox::open_if(!how.detach));
  auto started = engine.run_prepared(uuid, launch_options(how));
  if (!started.ok()) {
    report(context, started.error());
    return start_failure_status(started.error());
  }
  return after_start(engine, args, context.settings(), std::move(started).value(), how, std::move(signals));
}

std::string moment_or_empty(std::int64_t unix_ms, std::int64_t now_ms) {
  return unix_ms == 0 ? "" : print_age(now_ms - unix_ms) + " ago";
}

Result<int> ls(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  ASSIGN_OR_RETURN(std::vector<pod::PodInfo> pods, engine.list());
  std::ranges::stable_sort(
      pods, [](const pod::PodInfo& a, const pod::PodInfo& b) { return a.created_unix_ms > b.created_unix_ms; });
  if (context.json()) {
    codec::json::Writer out = context.json_writer();
    out.begin_object().key("pods").begin_array();
    for (const pod::PodInfo& pod : pods) describe_pod(out, pod);
    out.end_array().end_object();
    RETURN_IF_ERROR(print_json(out));
    return 0;
  }
  const bool full = args.enabled("full");
  std::vector<std::string> header = {"UUID", "NAME", "APP", "IMAGE NAME", "STATE", "CREATED", "STARTED", "NETWORKS"};
  if (full) header.insert(header.begin() + 4, "IMAGE ID");
  Table table(header);
  const std::int64_t now_ms = now_unix_ns() / 1'000'000;
  for (const pod::PodInfo& pod : pods) {
    bool first = true;
    const std::vector<pod::AppInfo> none(1);
    for (const pod::AppInfo& app : pod.apps.empty() ? none : pod.apps) {
      std::vector<std::string> row(8);
      if (first) {
        row = {full ? pod.uuid.str() : pod.uuid.short_str(),
               pod.name,
               "",
               "",
               std::string(pod::to_string(pod.state)),
               full ? print_rfc3339_ms(pod.created_unix_ms) : moment_or_empty(pod.created_unix_ms, now_ms),
               full && pod.started_unix_ms != 0 ? print_rfc3339_ms(pod.started_unix_ms)
                                                : moment_or_empty(pod.started_unix_ms, now_ms),
               pod.network};
      }
      row[2] = app.name;
      row[3] = app.image;
      if (full) row.insert(row.begin() + 4, app.image_id);
      table.add(row);
      first = false;
    }
  }
  RETURN_IF_ERROR(print(table.text(!args.enabled("no-legend"))));
  return 0;
}

std::string status_text(const pod::PodInfo& info) {
  std::string text = fmt::format("state={}\n", pod::to_string(info.state));
  text += fmt::format("created={}\n", print_rfc3339_ms(info.created_unix_ms));
  if (info.started_unix_ms != 0) text += fmt::format("started={}\n", print_rfc3339_ms(info.started_unix_ms));
  if (!info.name.empty()) text += fmt::format("name={}\n", info.name);
  if (!info.network.empty()) text += fmt::format("networks={}\n", info.network);
  const auto running = std::ranges::find_if(info.apps, [](const pod::AppInfo& app) { return app.pid != 0; });
  if (running != info.apps.end()) text += fmt::format("pid={}\n", running->pid);
  const bool exited = info.state == pod::State::kExited || info.state == pod::State::kExitedGarbage;
  text += fmt::format("exited={}\n", exited);
  for (const pod::AppInfo& app : info.apps) {
    const std::string code = !app.exit || app.exit->unknown ? "unknown" : std::to_string(app.exit->exit_code);
    text += fmt::format("app-{}={}\n", app.name, app.exit ? code : app.state);
    if (app.exit && !app.exit->post_stop_error.empty())
      text += fmt::format("post-stop-{}={}\n", app.name, app.exit->post_stop_error);
  }
  return text;
}

Result<int> status(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  ASSIGN_OR_RETURN(const PodUuid uuid, engine.find(args.positional().front()));
  if (args.enabled("wait")) {
    auto waited = engine.wait(uuid, {});
    if (!waited.ok() && waited.error().code() != Errc::kWrongState) return std::move(waited).error();
  }
  ASSIGN_OR_RETURN(const pod::PodInfo info, engine.info(uuid));
  if (context.json()) {
    codec::json::Writer out = context.json_writer();
    describe_pod(out, info);
    RETURN_IF_ERROR(print_json(out));
    return 0;
  }
  RETURN_IF_ERROR(print(status_text(info)));
  return 0;
}

Result<int> stop(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(int timeout_ms, timeout_flag(args));
  if (timeout_ms < 0 && args.enabled("force")) timeout_ms = 0;
  return for_each_target(
      context, args,
      [&](const pod::Engine& engine, const Target& target) -> Status { return engine.stop(target.uuid, timeout_ms); },
      {.noun = Noun::kPod});
}

Result<int> rm(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(const RemoveOptions options, remove_options(args));
  return for_each_target(context, args,
                         [&](const pod::Engine& engine, const Target& target) -> Status {
                           return remove_pod(engine, target.uuid, options);
                         },
                         {.noun = Noun::kPod, .may_be_absent = options.force});
}

Result<std::int64_t> seconds_flag(const Args& args, std::string_view flag, std::int64_t fallback) {
  const auto text = args.last(flag);
  if (!text) return fallback;
  auto ns = parse_seconds_ns(*text);
  if (!ns.ok()) return std::move(ns).error().with("--" + std::string(flag));
  if (*ns < 0) return Error(Errc::kInvalidArgument, "--" + std::string(flag) + " " + quoted(*text) + " is negative");
  return *ns / kNsPerSecond;
}

Result<int> gc(const Context& context, const Args& args) {
  pod::GcOptions options;
  ASSIGN_OR_RETURN(options.grace_period_s, seconds_flag(args, "grace-period", options.grace_period_s));
  ASSIGN_OR_RETURN(options.expire_prepared_s, seconds_flag(args, "expire-prepared", options.expire_prepared_s));
  options.mark_only = args.enabled("mark-only");
  ASSIGN_OR_RETURN(pod::Engine engine, context.engine());
  ASSIGN_OR_RETURN(const std::vector<std::string> lines, engine.gc(options));
  if (context.json()) {
    codec::json::Writer out = context.json_writer();
    out.begin_object().field("actions", lines).end_object();
    RETURN_IF_ERROR(print_json(out));
  } else if (!lines.empty()) {
    RETURN_IF_ERROR(print(join(lines, "\n") + "\n"));
  }
  return 0;
}

Result<int> cat_manifest(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  ASSIGN_OR_RETURN(const PodUuid uuid, engine.find(args.positional().front()));
  ASSIGN_OR_RETURN(std::string manifest, engine.manifest(uuid));
  ASSIGN_OR_RETURN(const auto document, codec::json::Document::parse(std::move(manifest), "pod manifest"));
  using Style = codec::json::Writer::Style;
  codec::json::Writer out(args.enabled("pretty-print", true) ? Style::kPretty : Style::kCompact);
  out.value(document.root());
  RETURN_IF_ERROR(print_json(out));
  return 0;
}

}  // namespace

std::span<const Command> pod_commands() {
  constexpr Completes kPods = Completes::kPods;
  static constexpr std::array<Flag, 3> kPreparedFlags = {
      {kRunFlags[0], kRunFlags[2], {"interactive", 'i', "", "connect standard input"}}};
  static const std::array<Command, 9> kCommands = {{
      {.path = "pod run",
       .usage = kAppGrammar,
       .summary = "run a pod of one or more apps",
       .description = kGrammar,
       .flags = {kRunFlags, sandbox_flags(), rkt_pod_flags()},
       .order = Order::kBeforeArguments,
       .min_args = 1,
       .handler = run,
       .failure = kExitEngine,
       .completes = Completes::kImages,
       .seals = Seals::kWords},
      {.path = "pod prepare",
       .usage = kAppGrammar,
       .summary = "make a pod ready to run and print its uuid",
       .description = kGrammar,
       .flags = {kPrepareFlags, sandbox_flags(), rkt_pod_flags()},
       .order = Order::kBeforeArguments,
       .min_args = 1,
       .handler = prepare,
       .completes = Completes::kImages},
      {.path = "pod run-prepared",
       .usage = "POD",
       .summary = "run a prepared pod",
       .flags = {kPreparedFlags},
       .min_args = 1,
       .max_args = 1,
       .handler = run_prepared,
       .failure = kExitEngine,
       .completes = kPods,
       .seals = Seals::kCopy},
      {.path = "pod ls", .summary = "list pods in every state", .flags = {kLsFlags}, .max_args = 0, .handler = ls},
      {.path = "pod status",
       .usage = "POD",
       .summary = "print a pod's state",
       .description = "One KEY=VALUE a line. For each app, app-NAME is its exit status, or running, paused or created "
                      "while there is none.",
       .flags = {kStatusFlags},
       .min_args = 1,
       .max_args = 1,
       .handler = status,
       .completes = kPods},
      {.path = "pod stop",
       .usage = "POD...",
       .summary = "ask pods to end, then kill them",
       .flags = {kStopFlags},
       .min_args = 1,
       .handler = stop,
       .completes = kPods},
      {.path = "pod rm",
       .usage = "POD...",
       .summary = "remove pods that do not run",
       .flags = {kRmFlags},
       .min_args = 1,
       .handler = rm,
       .completes = kPods},
      {.path = "pod gc",
       .summary = "remove what ended or was interrupted",
       .description = "Also repairs what killed processes left: control groups, mounts, names, state.",
       .flags = {kGcFlags},
       .max_args = 0,
       .handler = gc},
      {.path = "pod cat-manifest",
       .usage = "POD",
       .summary = "print a pod's manifest",
       .flags = {kCatFlags},
       .min_args = 1,
       .max_args = 1,
       .handler = cat_manifest,
       .completes = kPods},
  }};
  return kCommands;
}

}  // namespace cooper::cli
