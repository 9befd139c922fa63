// The C interface of include/cooper/cooper.h on the library room.
#include <cooper/cooper.h>
#include <errno.h>
#include <stdlib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <initializer_list>
#include <memory>

#include "base/strings.h"
#include "library/library.h"
#include "spec/libcontainer/parse.h"
#include "spec/libcontainer/print.h"
#include "sys/process.h"

using cooper::Error;
using cooper::Result;
using cooper::Status;
namespace library = cooper::library;
namespace libcontainer = cooper::libcontainer;

struct cooper_factory {
  library::Factory factory;
};
struct cooper_container {
  library::Container container;
};
struct cooper_process {
  library::Started started;
  // Of a first process that shares its PID namespace: the rest of the container ends with it.
  std::unique_ptr<library::Container> last_of;
  bool reaped = false;
};
struct cooper_events {
  cooper::cgroup::MemoryEvents events;
};

namespace {

static_assert(static_cast<int>(library::Code::kUnsupported) == COOPER_UNSUPPORTED);
static_assert(static_cast<int>(library::ContainerStatus::kDestroyed) == COOPER_DESTROYED);

template <std::size_t N>
void copy_text(char (&out)[N], const std::string& text) {
  const std::size_t size = std::min(text.size(), N - 1);
  std::memcpy(out, text.data(), size);
  out[size] = '\0';
}

cooper_code fail(const Error& error, library::Code code, cooper_error* out) {
  if (out != nullptr) {
    out->code = static_cast<cooper_code>(code);
    out->errno_value = error.errno_value();
    copy_text(out->message, error.message());
    copy_text(out->hint, error.hint());
  }
  return static_cast<cooper_code>(code);
}

cooper_code ok(cooper_error* out) {
  if (out != nullptr) *out = {};
  return COOPER_OK;
}

struct Argument {
  const char* name;
  const void* value;
};
// COOPER_OK unless one of them is NULL.
cooper_code need(std::initializer_list<Argument> arguments, cooper_error* out) {
  for (const Argument& argument : arguments) {
    if (argument.value != nullptr) continue;
    return fail(Error(cooper::Errc::kInvalidArgument, std::string(argument.name) + " must not be NULL"),
                library::Code::kConfigInvalid, out);
  }
  return COOPER_OK;
}

cooper_code no_memory(cooper_error* out) {
  return fail(Error(cooper::Errc::kSystem, "no memory is left for the answer", ENOMEM), library::Code::kSystemError,
              out);
}

cooper_code finish(const cooper_container* container, const Status& status, cooper_error* out) {
  return status.ok() ? ok(out) : fail(status.error(), container->container.code_of(status.error()), out);
}

char* copy(const std::string& text) {
  auto* out = static_cast<char*>(::malloc(text.size() + 1));  // ban-ok(malloc): freed by the caller, with cooper_free
  if (out != nullptr) std::memcpy(out, text.c_str(), text.size() + 1);
  return out;
}

cooper_code give_text(const cooper_container* container, const Result<std::string>& text, char** out,
                      cooper_error* error) {
  if (!text.ok()) return fail(text.error(), container->container.code_of(text.error()), error);
  *out = copy(*text);
  return *out == nullptr ? no_memory(error) : ok(error);
}

std::vector<std::string> texts(const char* const* list) {
  std::vector<std::string> out;
  for (; list != nullptr && *list != nullptr; ++list) out.emplace_back(*list);
  return out;
}

library::Process process_of(const cooper_process_options& options) {
  library::Process out;
  out.args = texts(options.args);
  out.env = texts(options.env);
  out.user = options.user == nullptr ? "" : options.user;
  out.cwd = options.cwd == nullptr ? "/" : options.cwd;
  out.stdio = {options.stdin_fd, options.stdout_fd, options.stderr_fd};
  out.extra_fds.assign(options.extra_fds, options.extra_fds + options.extra_fd_count);
  if (options.capabilities != nullptr) out.capabilities = texts(options.capabilities);
  out.terminal = options.terminal != 0;
  if (options.rows != 0 || options.columns != 0)
    out.console_size = cooper::oci::ConsoleSize{options.rows, options.columns};
  return out;
}

library::Hook hook_of(int (*function)(void*, const char*), void* data, const char* name) {
  if (function == nullptr) return {};
  return [function, data, name](const std::string& state) -> Status {
    if (function(data, state.c_str()) == 0) return {};
    return Error(cooper::Errc::kSystem, std::string("the ") + name + " function of this program refused");
  };
}

Result<library::CriuOptions> criu_options_of(const cooper_criu_options& options) {
  library::CriuOptions out;
  for (const char* path : {options.image_path, options.work_path}) {
    if (path != nullptr && path[0] != '/')
      return Error(cooper::Errc::kInvalidArgument, "the directories of criu must be absolute paths");
  }
  if (options.image_path == nullptr)
    return Error(cooper::Errc::kInvalidArgument, "the directory of the images is missing");
  out.image_path = options.image_path;
  if (options.work_path != nullptr) out.work_path = options.work_path;
  out.tcp_established = options.tcp_established != 0;
  out.external_unix_sockets = options.external_unix_sockets != 0;
  out.shell_job = options.shell_job != 0;
  out.file_locks = options.file_locks != 0;
  out.leave_running = options.leave_running != 0;
  if (options.page_server != nullptr) {
    ASSIGN_OR_RETURN(out.page_server, cooper::criu::parse_page_server(options.page_server));
  }
  return out;
}

// A process that was just made in `container`, the first one or another.
cooper_process* process_in(const library::Container& container, library::Started started, bool first) {
  auto process = std::make_unique<cooper_process>(cooper_process{std::move(started), nullptr, false});
  if (first && !container.has_own_pid_namespace()) process->last_of = std::make_unique<library::Container>(container);
  return process.release();
}

template <typename T>
cooper_code give_events(const cooper_container* container, T made, cooper_events** out, cooper_error* error) {
  if (!made.ok()) return fail(made.error(), container->container.code_of(made.error()), error);
  *out = std::make_unique<cooper_events>(cooper_events{std::move(made).value()}).release();
  return ok(error);
}

}  // namespace

const char* cooper_version(void) {
  return COOPER_VERSION;
}

const char* cooper_code_name(cooper_code code) {
  if (code < COOPER_OK || code > COOPER_UNSUPPORTED) return "unknown";
  return library::to_string(static_cast<library::Code>(code)).data();
}

void cooper_free(void* text_or_array) {
  ::free(text_or_array);
}

cooper_code cooper_factory_open(const char* root, cooper_factory** out, cooper_error* error) {
  const cooper_factory_options usual = COOPER_FACTORY_OPTIONS_INIT;
  return cooper_factory_open_with(root, &usual, out, error);
}

cooper_code cooper_factory_open_with(const char* root, const cooper_factory_options* options, cooper_factory** out,
                                     cooper_error* error) {
  if (const auto code = need({{"root", root}, {"options", options}, {"out", out}}, error); code != COOPER_OK)
    return code;
  if (root[0] != '/') {
    return fail(Error(cooper::Errc::kInvalidArgument, "the root of a factory must be an absolute path"),
                library::Code::kConfigInvalid, error);
  }
  auto opened = library::Factory::open(
      root, {.systemd_cgroups = options->systemd_cgroups != 0, .tmpfs_root = options->tmpfs_root != 0});
  if (!opened.ok()) return fail(opened.error(), library::Factory::code_of(opened.error()), error);
  *out = std::make_unique<cooper_factory>(cooper_factory{std::move(opened).value()}).release();
  return ok(error);
}

void cooper_factory_free(cooper_factory* factory) {
  const std::unique_ptr<cooper_factory> owner(factory);
}

const char* cooper_factory_type(const cooper_factory*) {
  return "libcontainer";
}

cooper_code cooper_factory_create(cooper_factory* factory, const char* id, const char* config_json,
                                  cooper_container** out, cooper_error* error) {
  if (const auto code = need({{"factory", factory}, {"id", id}, {"config_json", config_json}, {"out", out}}, error);
      code != COOPER_OK)
    return code;
  auto config = libcontainer::parse_config(config_json);
  if (!config.ok()) return fail(config.error(), library::Code::kConfigInvalid, error);
  auto made = factory->factory.create(id, std::move(config).value());
  if (!made.ok()) return fail(made.error(), library::Factory::code_of(made.error(), id), error);
  *out = std::make_unique<cooper_container>(cooper_container{std::move(made).value()}).release();
  return ok(error);
}

cooper_code cooper_factory_load(cooper_factory* factory, const char* id, cooper_container** out, cooper_error* error) {
  if (const auto code = need({{"factory", factory}, {"id", id}, {"out", out}}, error); code != COOPER_OK) return code;
  auto loaded = factory->factory.load(id);
  if (!loaded.ok()) return fail(loaded.error(), library::Factory::code_of(loaded.error(), id), error);
  *out = std::make_unique<cooper_container>(cooper_container{std::move(loaded).value()}).release();
  return ok(error);
}

void cooper_container_free(cooper_container* container) {
  const std::unique_ptr<cooper_container> owner(container);
}

const char* cooper_container_id(const cooper_container* container) {
  return container->container.id().c_str();
}

cooper_code cooper_container_config(const cooper_container* container, char** json, cooper_error* error) {
  if (const auto code = need({{"container", container}, {"json", json}}, error); code != COOPER_OK) return code;
  return give_text(container, libcontainer::print_config(container->container.config()), json, error);
}

cooper_code cooper_container_status(const cooper_container* container, cooper_status* out, cooper_error* error) {
  if (const auto code = need({{"container", container}, {"out", out}}, error); code != COOPER_OK) return code;
  const auto status = container->container.status();
  if (!status.ok()) return fail(status.error(), library::Code::kSystemError, error);
  *out = static_cast<cooper_status>(*status);
  return ok(error);
}

cooper_code cooper_container_state(const cooper_container* container, char** json, cooper_error* error) {
  if (const auto code = need({{"container", container}, {"json", json}}, error); code != COOPER_OK) return code;
  return give_text(container, container->container.state_json(), json, error);
}

cooper_code cooper_container_processes(const cooper_container* container, pid_t** pids, size_t* count,
                                       cooper_error* error) {
  if (const auto code = need({{"container", container}, {"pids", pids}, {"count", count}}, error); code != COOPER_OK)
    return code;
  const auto list = container->container.processes();
  if (!list.ok()) return fail(list.error(), container->container.code_of(list.error()), error);
  const std::size_t bytes = std::max<std::size_t>(1, list->size()) * sizeof(pid_t);
  *pids = static_cast<pid_t*>(::malloc(bytes));  // ban-ok(malloc): freed by the caller, with cooper_free
  if (*pids == nullptr) return no_memory(error);
  std::copy(list->begin(), list->end(), *pids);
  *count = list->size();
  return ok(error);
}

cooper_code cooper_container_stats(const cooper_container* container, char** json, cooper_error* error) {
  if (const auto code = need({{"container", container}, {"json", json}}, error); code != COOPER_OK) return code;
  const auto stats = container->container.stats();
  if (!stats.ok()) return fail(stats.error(), container->container.code_of(stats.error()), error);
  return give_text(container, library::stats_json(*stats), json, error);
}

cooper_code cooper_container_set(cooper_container* container, const char* config_json, cooper_error* error) {
  if (const auto code = need({{"container", container}, {"config_json", config_json}}, error); code != COOPER_OK)
    return code;
  auto config = libcontainer::parse_config(config_json);
  if (!config.ok()) return fail(config.error(), library::Code::kConfigInvalid, error);
  return finish(container, container->container.set(std::move(config).value()), error);
}

cooper_code cooper_container_pause(cooper_container* container, cooper_error* error) {
  if (const auto code = need({{"container", container}}, error); code != COOPER_OK) return code;
  return finish(container, container->container.pause(), error);
}

cooper_code cooper_container_resume(cooper_container* container, cooper_error* error) {
  if (const auto code = need({{"container", container}}, error); code != COOPER_OK) return code;
  return finish(container, container->container.resume(), error);
}

cooper_code cooper_container_signal(cooper_container* container, int signal, cooper_error* error) {
  if (const auto code = need({{"container", container}}, error); code != COOPER_OK) return code;
  return finish(container, container->container.signal(signal), error);
}

cooper_code cooper_container_destroy(cooper_container* container, cooper_error* error) {
  if (const auto code = need({{"container", container}}, error); code != COOPER_OK) return code;
  return finish(container, container->container.destroy(), error);
}

void cooper_container_set_hooks(cooper_container* container, const cooper_hooks* hooks) {
  library::FunctionHooks made;
  if (hooks == nullptr) return container->container.set_hooks(std::move(made));
  made.prestart = hook_of(hooks->prestart, hooks->data, "prestart");
  made.poststart = hook_of(hooks->poststart, hooks->data, "poststart");
  made.poststop = hook_of(hooks->poststop, hooks->data, "poststop");
  container->container.set_hooks(std::move(made));
}

cooper_code cooper_container_start(cooper_container* container, const cooper_process_options* options,
                                   cooper_process** out, cooper_error* error) {
  if (const auto code = need({{"container", container}, {"options", options}, {"out", out}}, error); code != COOPER_OK)
    return code;
  if (options->extra_fd_count != 0) {
    if (const auto code = need({{"extra_fds", options->extra_fds}}, error); code != COOPER_OK) return code;
  }
  const bool first = container->container.init_pid() == 0;
  auto started = container->container.start(process_of(*options));
  if (!started.ok()) return fail(started.error(), container->container.code_of(started.error()), error);
  *out = process_in(container->container, std::move(started).value(), first);
  return ok(error);
}

cooper_code cooper_container_checkpoint(cooper_container* container, const cooper_criu_options* options,
                                        cooper_error* error) {
  if (const auto code = need({{"container", container}, {"options", options}}, error); code != COOPER_OK) return code;
  const auto wanted = criu_options_of(*options);
  if (!wanted.ok()) return fail(wanted.error(), library::Code::kConfigInvalid, error);
  return finish(container, container->container.checkpoint(*wanted), error);
}

cooper_code cooper_container_restore(cooper_container* container, const cooper_criu_options* options,
                                     cooper_process** out, cooper_error* error) {
  if (const auto code = need({{"container", container}, {"options", options}, {"out", out}}, error); code != COOPER_OK)
    return code;
  const auto wanted = criu_options_of(*options);
  if (!wanted.ok()) return fail(wanted.error(), library::Code::kConfigInvalid, error);
  auto restored = container->container.restore(*wanted);
  if (!restored.ok()) return fail(restored.error(), container->container.code_of(restored.error()), error);
  *out = process_in(container->container, std::move(restored).value(), true);
  return ok(error);
}

void cooper_process_free(cooper_process* process) {
  const std::unique_ptr<cooper_process> owner(process);
}

pid_t cooper_process_pid(const cooper_process* process) {
  return process->started.pid;
}

int cooper_process_pidfd(const cooper_process* process) {
  return process->started.pidfd.get();
}

cooper_code cooper_process_wait(cooper_process* process, int* status, cooper_error* error) {
  if (const auto code = need({{"process", process}}, error); code != COOPER_OK) return code;
  if (process->reaped) {
    return fail(Error(cooper::Errc::kWrongState, "the process has been waited for"), library::Code::kProcessNotExecuted,
                error);
  }
  const auto ended = cooper::sys::waitpid(process->started.pid);
  if (!ended.ok()) return fail(ended.error(), library::Code::kSystemError, error);
  process->reaped = true;
  if (status != nullptr) *status = ended->signal != 0 ? ended->signal : ended->code << 8;
  if (process->last_of != nullptr) (void)!process->last_of->signal_all(SIGKILL).ok();
  return ok(error);
}

cooper_code cooper_process_signal(cooper_process* process, int signal, cooper_error* error) {
  if (const auto code = need({{"process", process}}, error); code != COOPER_OK) return code;
  const Status sent = cooper::sys::pidfd_send_signal(process->started.pidfd, signal);
  return sent.ok() ? ok(error) : fail(sent.error(), library::Code::kProcessNotExecuted, error);
}

int cooper_process_console(const cooper_process* process) {
  return process->started.console ? process->started.console.get() : -1;
}

cooper_code cooper_container_notify_oom(const cooper_container* container, cooper_events** out, cooper_error* error) {
  if (const auto code = need({{"container", container}, {"out", out}}, error); code != COOPER_OK) return code;
  return give_events(container, container->container.notify_oom(), out, error);
}

cooper_code cooper_container_notify_memory_pressure(const cooper_container* container, cooper_pressure level,
                                                    cooper_events** out, cooper_error* error) {
  if (const auto code = need({{"container", container}, {"out", out}}, error); code != COOPER_OK) return code;
  if (level < COOPER_PRESSURE_LOW || level > COOPER_PRESSURE_CRITICAL)
    return fail(Error(cooper::Errc::kInvalidArgument, "the pressure must be low, medium or critical"),
                library::Code::kConfigInvalid, error);
  const auto ours = static_cast<cooper::cgroup::PressureLevel>(level);
  return give_events(container, container->container.notify_memory_pressure(ours), out, error);
}

void cooper_events_free(cooper_events* events) {
  const std::unique_ptr<cooper_events> owner(events);
}

int cooper_events_fd(const cooper_events* events) {
  return events->events.fd().get();
}

short cooper_events_poll(const cooper_events* events) {
  return events->events.poll_events();
}

cooper_code cooper_events_wait(cooper_events* events, uint64_t* count, cooper_error* error) {
  if (const auto code = need({{"events", events}, {"count", count}}, error); code != COOPER_OK) return code;
  const auto happened = events->events.wait();
  if (!happened.ok()) return fail(happened.error(), library::Code::kSystemError, error);
  *count = happened->value_or(0);
  return ok(error);
}
