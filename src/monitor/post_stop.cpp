// The program that runs when an app has ended (appc's post-stop). Neither what it says nor how it ends changes how the
// app ended.
#include <csignal>

#include "base/strings.h"
#include "monitor/internal/supervisor.h"
#include "sys/tables.h"

namespace cooper::monitor {

int post_stop_limit_ms(int stop_timeout_ms) {
  constexpr int kOtherwiseMs = 10000;  // an app that is killed at once has no time to go by
  return stop_timeout_ms > 0 ? stop_timeout_ms : kOtherwiseMs;
}

namespace internal {
namespace {

constexpr std::size_t kMaxError = 1024;

// The words that systemd has for ExecStopPost=, under which rkt ran these programs.
void tell_how_it_ended(const ExitRecord& record, std::vector<std::string>& env) {
  std::erase_if(env, [](const std::string& entry) {
    return entry.starts_with("EXIT_CODE=") || entry.starts_with("EXIT_STATUS=");
  });
  if (record.signal == 0) {
    env.emplace_back("EXIT_CODE=exited");
    env.push_back("EXIT_STATUS=" + std::to_string(record.exit_code));
    return;
  }
  env.emplace_back(record.core_dumped ? "EXIT_CODE=dumped" : "EXIT_CODE=killed");
  std::string name = sys::signal_name(record.signal);
  if (name.starts_with("SIG")) name.erase(0, 3);
  env.push_back("EXIT_STATUS=" + name);
}

std::string shortened(std::string text) {
  if (text.size() > kMaxError) text.resize(kMaxError);
  return text;
}

}  // namespace

bool Supervisor::start_post_stop(App& app) {
  std::optional<PostStop> wanted = std::exchange(app.spec().post_stop, std::nullopt);
  if (!wanted) return false;
  Status started = run_post_stop(app, *std::move(wanted));
  if (started.ok()) return true;
  app.record_.post_stop_error = shortened("it was not started: " + started.error().message());
  if (app.running()) {
    kill_app(app);
    (void)!sys::waitpid(app.pid()).ok();
    app.mark_reaped();
  }
  app.drop_streams();
  return false;
}

// What is left of the app's own container goes first: this one follows it under its name, so that whoever ends the pod
// finds it there.
Status Supervisor::run_post_stop(App& app, PostStop post_stop) {
  if (spec_.sandbox && sandbox_pid_ == 0) return Error(Errc::kWrongState, "the namespaces of the pod have ended");
  RETURN_IF_ERROR(backend_.destroy(app.id()));
  RETURN_IF_ERROR(app.prepare_post_stop(std::move(post_stop)));
  oci::Config& config = app.spec().config;
  resolve_namespaces(config);
  if (config.process) tell_how_it_ended(app.record_, config.process->env);
  app.spec().create.detach_start = false;
  ASSIGN_OR_RETURN(container::Created created, backend_.create(config, app.spec().create));
  RETURN_IF_ERROR(app.adopt(std::move(created)));
  app.forget_config();
  RETURN_IF_ERROR(watch_exit(app));
  const int asked = static_cast<int>(stopping_ && asked_stop_ms_ > 0 ? asked_stop_ms_ : spec_.stop_timeout_ms);
  hurry_post_stop(app, post_stop_limit_ms(asked));
  return {};
}

void Supervisor::hurry_post_stop(App& app, std::int64_t timeout_ms) {
  if (app.kill_timer_ != 0) loop_->cancel_timer(app.kill_timer_);
  app.kill_timer_ = loop_->add_timer(timeout_ms, [this, &app] {
    app.kill_timer_ = 0;
    app.post_stop_late_ = true;
    kill_app(app);
  });
}

void Supervisor::note_post_stop(App& app, const Result<std::optional<sys::ExitStatus>>& status) {
  std::string& error = app.record_.post_stop_error;
  if (!status.ok()) {
    error = shortened(status.error().message());
  } else if (app.post_stop_late_) {
    error = "it did not end in time and was killed";
  } else if ((*status)->signal != 0) {
    error = "it was killed by signal " + std::to_string((*status)->signal);
  } else if ((*status)->code != 0) {
    error = "it ended with status " + std::to_string((*status)->code);
  }
}

}  // namespace internal
}  // namespace cooper::monitor
