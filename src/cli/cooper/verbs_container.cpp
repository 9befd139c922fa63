// Verbs on containers that are there: ps, logs, attach, stop, kill, wait, rm, inspect, pause, unpause.
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "base/strings.h"
#include "cli/cooper/command.h"
#include "cli/cooper/container_fields.h"
#include "cli/cooper/describe.h"
#include "cli/cooper/foreground.h"
#include "cli/cooper/list_filter.h"
#include "cli/cooper/target.h"
#include "cli/cooper/time_text.h"
#include "monitor/client.h"
#include "sys/tables.h"

namespace cooper::cli {
namespace {

constexpr std::array<Flag, 5> kPsFlags = {{
    {"all", 'a', "", "also those that do not run"},
    {"quiet", 'q', "", "ids only"},
    {"filter", 'f', "KEY=VALUE", "only those with id=, name=, pod=, status=, label=, ancestor= or exited=",
     Flag::Complete::kWords, "id= name= pod= status= label= ancestor= exited="},
    {"no-trunc", 0, "", "long ids and commands in full"},
    {"noheading", 0, "", "no line with the names of the columns"},
}};
constexpr std::array<Flag, 3> kAttachFlags = {{
    {"no-stdin", 0, "", "do not connect standard input"},
    {"detach-keys", 0, "KEYS", "keys that leave the app running (default ctrl-p,ctrl-q)"},
    {"sig-proxy", 0, "", "pass signals on to the app (default true)"},
}};
constexpr std::array<Flag, 1> kStopFlags = {
    {{"time", 't', "SECONDS", "time before KILL (default: that of the container)"}}};
constexpr std::array<Flag, 1> kKillFlags = {{{"signal", 's', "SIGNAL", "name or number (default KILL)"}}};
constexpr std::array<Flag, 3> kRmFlags = {
    {{"force", 'f', "", "also running ones, which are killed"},
     {"all", 'a', "", "every container that does not run"},
     {"time", 't', "SECONDS", "with --force: time between the stop signal and KILL (default 0)"}}};

// ---- ps
bool runs(const Row& row) {
  return row.app->state == "running" || row.app->state == "paused";
}

Result<int> ps(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(const ListFilter filter, ListFilter::parse(args.all("filter")));
  ASSIGN_OR_RETURN(const auto format, FormatTemplate::of(args, container_fields()));
  if (format && args.enabled("quiet"))
    return Error(Errc::kInvalidArgument, "--quiet and a template contradict each other");
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  ASSIGN_OR_RETURN(const std::vector<pod::PodInfo> pods, engine.list());
  const bool all = args.enabled("all") || filter.names_state();
  std::vector<Row> shown;
  for (const Row& row : rows(pods)) {
    if ((all || runs(row)) && filter.matches(row)) shown.push_back(row);
  }
  std::ranges::stable_sort(shown,
                           [](const Row& a, const Row& b) { return a.pod->created_unix_ms > b.pod->created_unix_ms; });
  const bool full = args.enabled("no-trunc");
  const bool heading = !args.enabled("noheading");
  if (format) {
    ASSIGN_OR_RETURN(const auto records, container_records(shown, full));
    RETURN_IF_ERROR(print(format->text(records, heading)));
    return 0;
  }
  if (args.enabled("quiet")) {
    // Each pod once: what is printed is what other verbs take.
    std::string ids;
    const pod::PodInfo* last = nullptr;
    for (const Row& row : shown) {
      if (row.pod != last) ids += (full ? row.pod->uuid.str() : row.pod->uuid.short_str()) + "\n";
      last = row.pod;
    }
    RETURN_IF_ERROR(print(ids));
    return 0;
  }
  if (context.json()) {
    codec::json::Writer out = context.json_writer();
    out.begin_object().key("containers").begin_array();
    for (const Row& row : shown) describe_row(out, row);
    out.end_array().end_object();
    RETURN_IF_ERROR(print_json(out));
    return 0;
  }
  const std::int64_t now_ms = now_unix_ns() / 1'000'000;
  Table table({"CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "NAMES"});
  for (const Row& row : shown) {
    const std::string command = print_command(row.app->args);
    table.add({full ? row.pod->uuid.str() : row.pod->uuid.short_str(), row.app->image,
               full ? command : shorten(command, 30), print_age(now_ms - row.pod->created_unix_ms) + " ago",
               status_text(row, now_ms), row.name()});
  }
  RETURN_IF_ERROR(print(table.text(heading)));
  return 0;
}

// ---- attach
Result<int> attach(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(ForegroundOptions options, foreground_options(args, context.settings()));
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  ASSIGN_OR_RETURN(const Target target, find_target(engine, args.positional().front()));
  ASSIGN_OR_RETURN(const pod::PodInfo info, engine.info(target.uuid));
  ASSIGN_OR_RETURN(const pod::AppInfo* app, select_app(info, target.app));
  const auto not_running = [&] {
    return Error(Errc::kWrongState, quoted(args.positional().front()) + " is not running")
        .with_hint("cooper logs has its output");
  };
  if (app->state != "running" && app->state != "paused") return not_running();
  ASSIGN_OR_RETURN(UniqueFd socket, engine.monitor_socket(target.uuid));
  auto adopted = monitor::Client::adopt(std::move(socket));
  if (!adopted.ok() && adopted.error().code() == Errc::kWrongState) return not_running();
  if (!adopted.ok()) return std::move(adopted).error();
  monitor::Client& client = *adopted;
  options.app = app->name;
  options.terminal = app->terminal;
  options.stdin_open = app->stdin_open && !args.enabled("no-stdin");
  monitor::protocol::AttachRequest request;
  request.app = app->name;
  request.in = options.stdin_open;
  request.hold_back = true;
  // An app that ends this moment: what the monitor has said at last is still to be read.
  if (Status attached = client.attach(request); !attached.ok() && !client.pending()) return std::move(attached).error();
  ASSIGN_OR_RETURN(SignalInbox signals, SignalInbox::open());
  ASSIGN_OR_RETURN(const SessionEnd end, run_session(client, options, std::move(signals)));
  return status_of(engine, target.uuid, end, app->name);
}

// ---- stop, kill, wait, rm, pause
Result<int> stop(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(const int timeout_ms, timeout_flag(args));
  return for_each_target(context, args, [&](const pod::Engine& engine, const Target& target) -> Status {
    if (target.app.empty()) return engine.stop(target.uuid, timeout_ms);
    ASSIGN_OR_RETURN(UniqueFd socket, engine.monitor_socket(target.uuid));
    ASSIGN_OR_RETURN(monitor::Client client, monitor::Client::adopt(std::move(socket)));
    RETURN_IF_ERROR(client.stop(target.app, timeout_ms));
    auto ended = client.wait(target.app);
    if (!ended.ok()) return std::move(ended).error();
    return {};
  });
}

Result<int> kill(const Context& context, const Args& args) {
  const std::string word = args.last("signal").value_or("KILL");
  const auto signal = sys::signal_from_name(word);
  if (!signal) return Error(Errc::kInvalidArgument, "--signal " + quoted(word) + ": no such signal");
  return for_each_target(context, args, [&](const pod::Engine& engine, const Target& target) -> Status {
    return engine.kill(target.uuid, target.app, *signal);
  });
}

Result<int> wait(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  int status = 0;
  for (const std::string& text : args.positional()) {
    auto target = find_target(engine, text);
    if (target.ok()) {
      auto record = engine.wait(target->uuid, target->app);
      if (record.ok() && record->unknown) {
        report(context, Error(Errc::kNotFound, "app " + quoted(record->app) + ": " + record->error));
      } else if (record.ok()) {
        RETURN_IF_ERROR(print(std::to_string(record->exit_code) + "\n"));
        continue;
      } else {
        report(context, record.error());
      }
    } else {
      report(context, target.error());
    }
    status = kExitFailure;
  }
  return status;
}

Status no_app(const Target& target, std::string_view verb) {
  if (target.app.empty()) return {};
  return Error(Errc::kUnsupported, "one app of a pod cannot be " + std::string(verb)).with_hint("name the pod alone");
}

Result<int> rm(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(const RemoveOptions options, remove_options(args));
  if (args.positional().empty() && !args.enabled("all")) {
    return Error(Errc::kInvalidArgument, "rm needs a container").with_hint("name one, or use --all");
  }
  if (!args.enabled("all")) {
    return for_each_target(context, args,
                           [&](const pod::Engine& engine, const Target& target) -> Status {
                             RETURN_IF_ERROR(no_app(target, "removed"));
                             return remove_pod(engine, target.uuid, options);
                           },
                           {.may_be_absent = options.force});
  }
  ASSIGN_OR_RETURN(pod::Engine engine, context.engine());
  ASSIGN_OR_RETURN(const std::vector<pod::PodInfo> pods, engine.list());
  int status = 0;
  for (const pod::PodInfo& pod : pods) {
    if (!options.force && pod.state != pod::State::kExited && pod.state != pod::State::kPrepared &&
        pod.state != pod::State::kAbortedPrepare)
      continue;
    Status removed = remove_pod(engine, pod.uuid, options);
    if (removed.ok()) removed = print((pod.name.empty() ? pod.uuid.str() : pod.name) + "\n");
    if (removed.ok()) continue;
    report(context, removed.error());
    status = kExitFailure;
  }
  return status;
}

// Freezes or thaws the app named, or every app of the pod; apps that are so already are an error only when there is
// nothing else to do.
Result<int> set_paused(const Context& context, const Args& args, bool paused) {
  const std::string_view from = paused ? "running" : "paused";
  return for_each_target(context, args, [&](const pod::Engine& engine, const Target& target) -> Status {
    ASSIGN_OR_RETURN(const pod::PodInfo info, engine.info(target.uuid));
    if (!target.app.empty()) {
      auto app = select_app(info, target.app);
      if (!app.ok()) return std::move(app).error();
    }
    bool done = false;
    bool already = false;
    for (const pod::AppInfo& app : info.apps) {
      if (!target.app.empty() && app.name != target.app) continue;
      already = already || (paused ? app.state == "paused" : app.state == "running");
      if (app.state != from) continue;
      ASSIGN_OR_RETURN(container::Container container, engine.container(target.uuid, app.name));
      RETURN_IF_ERROR(paused ? container.pause() : container.resume());
      done = true;
    }
    if (done) return {};
    std::string name = info.name.empty() ? info.uuid.short_str() : info.name;
    if (!target.app.empty()) name += "/" + target.app;
    return Error(Errc::kWrongState, "container " + quoted(name) +
                                        (!already ? " is not running"
                                         : paused ? " is paused already"
                                                  : " is not paused"));
  });
}

Result<int> pause(const Context& context, const Args& args) {
  return set_paused(context, args, true);
}

Result<int> unpause(const Context& context, const Args& args) {
  return set_paused(context, args, false);
}

}  // namespace

std::span<const Command> container_commands() {
  static const std::array<Command, 9> kCommands = {{
      {.path = "ps",
       .summary = "list containers",
       .flags = {kPsFlags},
       .max_args = 0,
       .handler = ps,
       .templates = true},
      {.path = "attach",
       .usage = "CONTAINER",
       .summary = "connect to a running container",
       .description = "Shows what the app writes from now on. The detach keys (on a terminal) leave it running; the "
                      "exit status is the app's.",
       .flags = {kAttachFlags},
       .min_args = 1,
       .max_args = 1,
       .handler = attach,
       .failure = kExitEngine,
       .completes = Completes::kRunning},
      {.path = "stop",
       .usage = "CONTAINER...",
       .summary = "ask containers to end, then kill them",
       .flags = {kStopFlags},
       .min_args = 1,
       .handler = stop,
       .completes = Completes::kRunning},
      {.path = "kill",
       .usage = "CONTAINER...",
       .summary = "send a signal",
       .flags = {kKillFlags},
       .min_args = 1,
       .handler = kill,
       .completes = Completes::kRunning},
      {.path = "wait",
       .usage = "CONTAINER...",
       .summary = "wait until containers end and print their exit statuses",
       .min_args = 1,
       .handler = wait,
       .completes = Completes::kContainers},
      {.path = "rm",
       .usage = "CONTAINER...",
       .summary = "remove containers that do not run",
       .flags = {kRmFlags},
       .handler = rm,
       .completes = Completes::kContainers},
      {.path = "inspect",
       .usage = "CONTAINER|IMAGE...",
       .summary = "print everything known, as JSON",
       .min_args = 1,
       .handler = inspect,
       .completes = Completes::kContainers},
      {.path = "pause",
       .usage = "CONTAINER...",
       .summary = "freeze every process",
       .min_args = 1,
       .handler = pause,
       .completes = Completes::kRunning},
      {.path = "unpause",
       .usage = "CONTAINER...",
       .summary = "let frozen processes go on",
       .min_args = 1,
       .handler = unpause,
       .completes = Completes::kRunning},
  }};
  return kCommands;
}

}  // namespace cooper::cli
