// cooper: containers as a library, for C++17 and later. Owning objects over <cooper/cooper.h>, whose comments hold here
// too. Failures are cooper::Error.
#pragma once

#include <cooper/cooper.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace cooper {

class Error : public std::runtime_error {
 public:
  explicit Error(const cooper_error& error)
      : std::runtime_error(error.message), code_(error.code), errno_(error.errno_value), hint_(error.hint) {}
  cooper_code code() const { return code_; }
  int errno_value() const { return errno_; }
  const std::string& hint() const { return hint_; }

 private:
  cooper_code code_;
  int errno_;
  std::string hint_;
};

namespace detail {
template <typename T, void (*Free)(T*)>
struct Deleter {
  void operator()(T* object) const { Free(object); }
};
template <typename T, void (*Free)(T*)>
using Owned = std::unique_ptr<T, Deleter<T, Free>>;

template <typename F, typename... Args>
void call(F function, Args... args) {
  cooper_error error = {};
  if (function(args..., &error) != COOPER_OK) throw Error(error);
}
inline std::string take(char* text) {
  const std::unique_ptr<void, void (*)(void*)> owner(text, cooper_free);
  return text == nullptr ? std::string() : std::string(text);
}
inline std::vector<const char*> pointers(const std::vector<std::string>& texts) {
  std::vector<const char*> out;
  for (const std::string& text : texts) out.push_back(text.c_str());
  out.push_back(nullptr);
  return out;
}
}  // namespace detail

// The master's end of a process's terminal.
class Console {
 public:
  explicit Console(int fd) : fd_(fd) {}
  int fd() const { return fd_; }
  ssize_t read(void* data, std::size_t size) const { return ::read(fd_, data, size); }
  ssize_t write(const void* data, std::size_t size) const { return ::write(fd_, data, size); }

 private:
  int fd_;  // the process object's
};

struct ProcessOptions {
  std::vector<std::string> args, env;
  std::string user, cwd = "/";
  int stdin_fd = -1, stdout_fd = -1, stderr_fd = -1;
  std::vector<int> extra_fds;
  std::vector<std::string> capabilities;
  bool own_capabilities = false;  // `capabilities` instead of the configuration's
  bool terminal = false;
  unsigned short rows = 0, columns = 0;
};

// See cooper_criu_options. Empty: none.
struct CriuOptions {
  std::string image_path, work_path, page_server;
  bool tcp_established = false, external_unix_sockets = false, shell_job = false, file_locks = false;
  bool leave_running = false;
};

class Process {
 public:
  explicit Process(cooper_process* process) : process_(process) {}
  pid_t pid() const { return cooper_process_pid(process_.get()); }
  int pidfd() const { return cooper_process_pidfd(process_.get()); }
  // As of waitpid(2).
  int wait() {
    int status = 0;
    detail::call(cooper_process_wait, process_.get(), &status);
    return status;
  }
  void signal(int number) { detail::call(cooper_process_signal, process_.get(), number); }
  Console console() const { return Console(cooper_process_console(process_.get())); }

 private:
  detail::Owned<cooper_process, cooper_process_free> process_;
};

class Events {
 public:
  explicit Events(cooper_events* events) : events_(events) {}
  int fd() const { return cooper_events_fd(events_.get()); }
  short poll_events() const { return cooper_events_poll(events_.get()); }
  // 0: the container is gone.
  std::uint64_t wait() {
    std::uint64_t count = 0;
    detail::call(cooper_events_wait, events_.get(), &count);
    return count;
  }

 private:
  detail::Owned<cooper_events, cooper_events_free> events_;
};

// Each gets the hook state as JSON; false fails the start.
struct FunctionHooks {
  std::function<bool(const std::string&)> prestart, poststart, poststop;
};

class Container {
 public:
  explicit Container(cooper_container* container) : container_(container) {}
  std::string id() const { return cooper_container_id(container_.get()); }
  std::string config() const { return text(cooper_container_config); }
  std::string state() const { return text(cooper_container_state); }
  std::string stats() const { return text(cooper_container_stats); }
  cooper_status status() const {
    cooper_status out = COOPER_DESTROYED;
    detail::call(cooper_container_status, container_.get(), &out);
    return out;
  }
  std::vector<pid_t> processes() const {
    pid_t* pids = nullptr;
    std::size_t count = 0;
    detail::call(cooper_container_processes, container_.get(), &pids, &count);
    const std::unique_ptr<void, void (*)(void*)> owner(pids, cooper_free);
    return std::vector<pid_t>(pids, pids + count);
  }
  void set(const std::string& config_json) {
    detail::call(cooper_container_set, container_.get(), config_json.c_str());
  }
  Process start(const ProcessOptions& options) {
    const auto args = detail::pointers(options.args);
    const auto env = detail::pointers(options.env);
    const auto capabilities = detail::pointers(options.capabilities);
    cooper_process_options raw = COOPER_PROCESS_OPTIONS_INIT;
    raw.args = args.data();
    raw.env = env.data();
    raw.user = options.user.empty() ? nullptr : options.user.c_str();
    raw.cwd = options.cwd.c_str();
    raw.stdin_fd = options.stdin_fd;
    raw.stdout_fd = options.stdout_fd;
    raw.stderr_fd = options.stderr_fd;
    raw.extra_fds = options.extra_fds.data();
    raw.extra_fd_count = options.extra_fds.size();
    if (options.own_capabilities) raw.capabilities = capabilities.data();
    raw.terminal = options.terminal ? 1 : 0;
    raw.rows = options.rows;
    raw.columns = options.columns;
    cooper_process* process = nullptr;
    detail::call(cooper_container_start, container_.get(), &raw, &process);
    return Process(process);
  }
  void pause() { detail::call(cooper_container_pause, container_.get()); }
  void resume() { detail::call(cooper_container_resume, container_.get()); }
  void signal(int number) { detail::call(cooper_container_signal, container_.get(), number); }
  void destroy() { detail::call(cooper_container_destroy, container_.get()); }
  void checkpoint(const CriuOptions& options) {
    const cooper_criu_options raw = raw_of(options);
    detail::call(cooper_container_checkpoint, container_.get(), &raw);
  }
  Process restore(const CriuOptions& options) {
    const cooper_criu_options raw = raw_of(options);
    cooper_process* process = nullptr;
    detail::call(cooper_container_restore, container_.get(), &raw, &process);
    return Process(process);
  }
  Events notify_oom() const {
    cooper_events* events = nullptr;
    detail::call(cooper_container_notify_oom, container_.get(), &events);
    return Events(events);
  }
  Events notify_memory_pressure(cooper_pressure level) const {
    cooper_events* events = nullptr;
    detail::call(cooper_container_notify_memory_pressure, container_.get(), level, &events);
    return Events(events);
  }
  void set_hooks(FunctionHooks hooks) {
    hooks_ = std::make_unique<FunctionHooks>(std::move(hooks));
    const cooper_hooks raw = {hooks_->prestart ? &run<&FunctionHooks::prestart> : nullptr,
                              hooks_->poststart ? &run<&FunctionHooks::poststart> : nullptr,
                              hooks_->poststop ? &run<&FunctionHooks::poststop> : nullptr, hooks_.get()};
    cooper_container_set_hooks(container_.get(), &raw);
  }

 private:
  static cooper_criu_options raw_of(const CriuOptions& options) {
    const auto text = [](const std::string& value) { return value.empty() ? nullptr : value.c_str(); };
    cooper_criu_options raw = COOPER_CRIU_OPTIONS_INIT;
    raw.image_path = text(options.image_path);
    raw.work_path = text(options.work_path);
    raw.tcp_established = options.tcp_established ? 1 : 0;
    raw.external_unix_sockets = options.external_unix_sockets ? 1 : 0;
    raw.shell_job = options.shell_job ? 1 : 0;
    raw.file_locks = options.file_locks ? 1 : 0;
    raw.leave_running = options.leave_running ? 1 : 0;
    raw.page_server = text(options.page_server);
    return raw;
  }
  template <std::function<bool(const std::string&)> FunctionHooks::*Member>
  static int run(void* data, const char* state) {
    try {
      return (static_cast<FunctionHooks*>(data)->*Member)(state) ? 0 : 1;
    } catch (...) {
      return 1;
    }
  }
  template <typename F>
  std::string text(F function) const {
    char* out = nullptr;
    detail::call(function, static_cast<const cooper_container*>(container_.get()), &out);
    return detail::take(out);
  }
  std::unique_ptr<FunctionHooks> hooks_;
  detail::Owned<cooper_container, cooper_container_free> container_;
};

// See cooper_factory_options.
struct FactoryOptions {
  bool systemd_cgroups = false, tmpfs_root = false;
};

class Factory {
 public:
  explicit Factory(const std::string& root, FactoryOptions options = {}) {
    const cooper_factory_options raw = {options.systemd_cgroups ? 1 : 0, options.tmpfs_root ? 1 : 0};
    cooper_factory* factory = nullptr;
    detail::call(cooper_factory_open_with, root.c_str(), &raw, &factory);
    factory_.reset(factory);
  }
  std::string type() const { return cooper_factory_type(factory_.get()); }
  Container create(const std::string& id, const std::string& config_json) {
    cooper_container* container = nullptr;
    detail::call(cooper_factory_create, factory_.get(), id.c_str(), config_json.c_str(), &container);
    return Container(container);
  }
  Container load(const std::string& id) {
    cooper_container* container = nullptr;
    detail::call(cooper_factory_load, factory_.get(), id.c_str(), &container);
    return Container(container);
  }

 private:
  detail::Owned<cooper_factory, cooper_factory_free> factory_;
};

}  // namespace cooper
