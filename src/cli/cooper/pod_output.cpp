#include "cli/cooper/pod_output.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <list>

#include "cli/cooper/log_file.h"
#include "cli/cooper/relay.h"
#include "sys/file.h"

namespace cooper::cli {
namespace {

// One app's log on its way to our streams.
class AppOutput {
 public:
  AppOutput(std::string name, LogFollower follower) : name_(std::move(name)), follower_(std::move(follower)) {}

  BorrowedFd fd() const { return follower_.fd(); }

  Status catch_up() {
    return follower_.catch_up([this](const LogRecord& record) { return add(record); });
  }
  // A last line without its end.
  Status finish() {
    for (const bool to_stderr : {false, true}) {
      if (!line_[to_stderr ? 1 : 0].empty()) RETURN_IF_ERROR(write_line(to_stderr));
    }
    return {};
  }

 private:
  Status add(const LogRecord& record) {
    line_[record.to_stderr ? 1 : 0] += record.text;
    return record.partial ? Status() : write_line(record.to_stderr);
  }
  Status write_line(bool to_stderr) {
    std::string& line = line_[to_stderr ? 1 : 0];
    const std::string text = name_ + ": " + line + "\n";
    line.clear();
    auto written = sys::write_all(BorrowedFd(to_stderr ? STDERR_FILENO : STDOUT_FILENO), text);
    if (!written.ok()) return std::move(written).error().with("write the output of an app");
    return {};
  }

  std::string name_;
  LogFollower follower_;
  std::string line_[2];
};

Result<std::list<AppOutput>> open_outputs(const pod::Engine& engine, const PodUuid& uuid) {
  std::list<AppOutput> outputs;
  ASSIGN_OR_RETURN(const pod::PodInfo info, engine.info(uuid));
  for (const pod::AppInfo& app : info.apps) {
    ASSIGN_OR_RETURN(const std::vector<std::string> files, engine.log_files(uuid, app.name));
    if (files.empty()) continue;
    FollowOptions options;
    options.current = current_log(files);
    options.on_skip = [name = app.name] { warn_of_skip(name); };
    options.files = [&engine, uuid, name = app.name] { return engine.log_files(uuid, name); };
    ASSIGN_OR_RETURN(LogFollower follower, LogFollower::open(std::move(options)));
    outputs.emplace_back(app.name, std::move(follower));
  }
  return outputs;
}

Status handle_signals(SignalInbox& signals, monitor::Client& client, int& stops) {
  for (const int number : signals.take()) {
    if (number != SIGINT && number != SIGTERM && number != SIGHUP && number != SIGQUIT) continue;
    // The second time without patience.
    auto stopped = client.stop({}, stops++ == 0 ? -1 : 0);
    if (!stopped.ok() && stopped.error().code() != Errc::kWrongState) return stopped;
  }
  return {};
}

}  // namespace

Result<std::vector<monitor::ExitRecord>> follow_pod(pod::Engine& engine, const PodUuid& uuid, monitor::Client& client,
                                                    SignalInbox signals) {
  ASSIGN_OR_RETURN(std::list<AppOutput> outputs, open_outputs(engine, uuid));
  std::vector<monitor::ExitRecord> records;
  int stops = 0;
  for (bool ended = false;;) {
    for (AppOutput& output : outputs) RETURN_IF_ERROR(output.catch_up());
    if (ended) break;
    std::vector<struct pollfd> fds = {{client.fd().get(), POLLIN, 0}, {signals.fd().get(), POLLIN, 0}};
    for (const AppOutput& output : outputs) fds.push_back({output.fd().get(), POLLIN, 0});
    if (!client.pending() && ::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR)
      return Error::from_errno(errno, "wait for events");
    RETURN_IF_ERROR(handle_signals(signals, client, stops));
    ASSIGN_OR_RETURN(monitor::Event event, client.next(0));
    using Kind = monitor::Event::Kind;
    if (event.kind == Kind::kDropped) return Error(Errc::kLimit, "the monitor let this client go: " + event.data);
    if (event.kind == Kind::kPodExit || event.kind == Kind::kClosed) {
      records = std::move(event.records);
      ended = true;
    }
  }
  for (AppOutput& output : outputs) RETURN_IF_ERROR(output.finish());
  return records;
}

Status show_ended(const pod::Engine& engine, const PodUuid& uuid) {
  ASSIGN_OR_RETURN(std::list<AppOutput> outputs, open_outputs(engine, uuid));
  for (AppOutput& output : outputs) {
    RETURN_IF_ERROR(output.catch_up());
    RETURN_IF_ERROR(output.finish());
  }
  return {};
}

}  // namespace cooper::cli
