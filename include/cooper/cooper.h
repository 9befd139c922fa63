/* cooper: containers as a library. C interface; <cooper/cooper.hpp> is the same for C++.
 *
 * A factory makes containers from a libcontainer configuration (JSON), a container starts processes. State is on disk
 * below the factory's root, so another program may load what this one has made.
 *
 *   cooper_factory* factory;
 *   cooper_factory_open("/run/mine", &factory, &error);
 *   cooper_factory_create(factory, "box", json, &container, &error);
 *   cooper_container_start(container, &options, &process, &error);
 *   cooper_process_wait(process, &status, &error);
 *   cooper_container_destroy(container, &error);
 *
 * Every call returns a code; `error` (may be NULL) says the rest. Another argument that is NULL and must not be is
 * COOPER_CONFIG_INVALID. Objects are freed with their _free function, texts and arrays with cooper_free. Nothing here
 * is thread-safe for one object, and the process that starts a process must have one thread: the new process is a copy
 * of it until it executes its program. Processes are children of the caller. Containers need root. */
#ifndef COOPER_COOPER_H
#define COOPER_COOPER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define COOPER_API __attribute__((visibility("default")))
#define COOPER_API_VERSION 1

typedef enum cooper_code {
  COOPER_OK = 0,
  COOPER_ID_IN_USE,
  COOPER_INVALID_ID_FORMAT,
  COOPER_CONTAINER_NOT_EXISTS,
  COOPER_CONTAINER_PAUSED,
  COOPER_CONTAINER_NOT_STOPPED,
  COOPER_CONTAINER_NOT_RUNNING,
  COOPER_CONFIG_INVALID,
  COOPER_PROCESS_NOT_EXECUTED,
  COOPER_SYSTEM_ERROR,
  COOPER_UNSUPPORTED
} cooper_code;

typedef struct cooper_error {
  cooper_code code;
  int errno_value;    /* 0: no system call's */
  char message[1024]; /* one sentence */
  char hint[256];     /* what to try; may be empty */
} cooper_error;

typedef enum cooper_status {
  COOPER_RUNNING = 1,
  COOPER_PAUSING,
  COOPER_PAUSED,
  COOPER_CHECKPOINTED,
  COOPER_DESTROYED /* no first process: never started, or ended */
} cooper_status;

typedef struct cooper_factory cooper_factory;
typedef struct cooper_container cooper_container;
typedef struct cooper_process cooper_process;
typedef struct cooper_events cooper_events;

COOPER_API const char* cooper_version(void);
COOPER_API const char* cooper_code_name(cooper_code code);
COOPER_API void cooper_free(void* text_or_array);

/* ---- factory ---- */
/* `root` is an absolute directory, made when missing. */
COOPER_API cooper_code cooper_factory_open(const char* root, cooper_factory** out, cooper_error* error);
typedef struct cooper_factory_options {
  int systemd_cgroups; /* not 0: groups are scopes that systemd makes, in cgroups.slice; 0: through cgroupfs */
  int tmpfs_root;      /* not 0: a tmpfs is mounted on `root`, unless it is a mount point */
} cooper_factory_options;
#define COOPER_FACTORY_OPTIONS_INIT \
  { 0, 0 }
/* COOPER_UNSUPPORTED where systemd is wanted and does not run. */
COOPER_API cooper_code cooper_factory_open_with(const char* root, const cooper_factory_options* options,
                                                cooper_factory** out, cooper_error* error);
COOPER_API void cooper_factory_free(cooper_factory* factory);
COOPER_API const char* cooper_factory_type(const cooper_factory* factory); /* "libcontainer" */
/* Checks id and configuration; starts nothing. */
COOPER_API cooper_code cooper_factory_create(cooper_factory* factory, const char* id, const char* config_json,
                                             cooper_container** out, cooper_error* error);
COOPER_API cooper_code cooper_factory_load(cooper_factory* factory, const char* id, cooper_container** out,
                                           cooper_error* error);

/* ---- container ---- */
COOPER_API void cooper_container_free(cooper_container* container); /* the container itself stays */
COOPER_API const char* cooper_container_id(const cooper_container* container);
COOPER_API cooper_code cooper_container_config(const cooper_container* container, char** json, cooper_error* error);
COOPER_API cooper_code cooper_container_status(const cooper_container* container, cooper_status* out,
                                               cooper_error* error);
/* The state document: pid, cgroup and namespace paths, configuration. */
COOPER_API cooper_code cooper_container_state(const cooper_container* container, char** json, cooper_error* error);
COOPER_API cooper_code cooper_container_processes(const cooper_container* container, pid_t** pids, size_t* count,
                                                  cooper_error* error);
/* Counters of the control group and of the host's ends of its interfaces, as JSON. */
COOPER_API cooper_code cooper_container_stats(const cooper_container* container, char** json, cooper_error* error);
/* New limits, now and for later starts; a running container is frozen or goes on as `freezer` says. */
COOPER_API cooper_code cooper_container_set(cooper_container* container, const char* config_json, cooper_error* error);
COOPER_API cooper_code cooper_container_pause(cooper_container* container, cooper_error* error);
COOPER_API cooper_code cooper_container_resume(cooper_container* container, cooper_error* error);
COOPER_API cooper_code cooper_container_signal(cooper_container* container, int signal, cooper_error* error);
/* Its first process must have ended; what else runs in its cgroup is killed. Poststop hooks run when all is gone, and
 * the first failure of one is returned. */
COOPER_API cooper_code cooper_container_destroy(cooper_container* container, cooper_error* error);

/* Functions called around the life of the first process, with the hook state as JSON: prestart once its namespaces
 * exist and before its program, poststart after, poststop by destroy. Not 0 fails the start. They are this program's
 * own and are not stored: hooks that are programs stand in the configuration. NULL for `hooks` takes them away. */
typedef struct cooper_hooks {
  int (*prestart)(void* data, const char* state_json);
  int (*poststart)(void* data, const char* state_json);
  int (*poststop)(void* data, const char* state_json);
  void* data;
} cooper_hooks;
COOPER_API void cooper_container_set_hooks(cooper_container* container, const cooper_hooks* hooks);

/* ---- process ---- */
typedef struct cooper_process_options {
  const char* const* args;            /* ends with NULL */
  const char* const* env;             /* ends with NULL; may be NULL */
  const char* user;                   /* "name", "uid", "uid:gid"; NULL: root */
  const char* cwd;                    /* NULL: "/" */
  int stdin_fd, stdout_fd, stderr_fd; /* -1: the caller's */
  const int* extra_fds;               /* appear as 3, 4 ... */
  size_t extra_fd_count;
  const char* const* capabilities; /* without "CAP_", ends with NULL; NULL: the configuration's */
  int terminal;                    /* not 0: the process has one, see cooper_process_console */
  unsigned short rows, columns;    /* of it; 0: unknown */
} cooper_process_options;
#define COOPER_PROCESS_OPTIONS_INIT \
  { NULL, NULL, NULL, NULL, -1, -1, -1, NULL, 0, NULL, 0, 0, 0 }

/* The first process of a container without one; in a running container, a process that joins it. */
COOPER_API cooper_code cooper_container_start(cooper_container* container, const cooper_process_options* options,
                                              cooper_process** out, cooper_error* error);
COOPER_API void cooper_process_free(cooper_process* process); /* the process itself goes on */
COOPER_API pid_t cooper_process_pid(const cooper_process* process);
/* Readable when it has ended. */
COOPER_API int cooper_process_pidfd(const cooper_process* process);
/* Blocks and reaps. `status` is as of waitpid(2). After a first process without a PID namespace of its own, what is
 * left in the container is killed. */
COOPER_API cooper_code cooper_process_wait(cooper_process* process, int* status, cooper_error* error);
COOPER_API cooper_code cooper_process_signal(cooper_process* process, int signal, cooper_error* error);
/* Master of the terminal, the object's own; -1 without one. */
COOPER_API int cooper_process_console(const cooper_process* process);

/* ---- checkpoint and restore, by the criu in $PATH ---- */
/* What is said at a checkpoint about connections, sockets, jobs and locks must be said again at the restore. */
typedef struct cooper_criu_options {
  const char* image_path; /* absolute directory; a checkpoint makes it */
  const char* work_path;  /* of CRIU's log; NULL: image_path */
  int tcp_established, external_unix_sockets, shell_job, file_locks;
  /* Of a checkpoint only. */
  int leave_running;
  const char* page_server; /* "ADDRESS:PORT" of a criu page-server; NULL: none */
} cooper_criu_options;
#define COOPER_CRIU_OPTIONS_INIT \
  { NULL, NULL, 0, 0, 0, 0, 0, NULL }

/* Saves the processes. They have ended then, unless they are left running, and the container is checkpointed. On
 * failure they go on. */
COOPER_API cooper_code cooper_container_checkpoint(cooper_container* container, const cooper_criu_options* options,
                                                   cooper_error* error);
/* A container without a first process gets the saved ones, with the caller's streams. Hooks that stand in the
 * configuration run, functions do not. */
COOPER_API cooper_code cooper_container_restore(cooper_container* container, const cooper_criu_options* options,
                                                cooper_process** out, cooper_error* error);

/* ---- events ---- */
typedef enum cooper_pressure { COOPER_PRESSURE_LOW, COOPER_PRESSURE_MEDIUM, COOPER_PRESSURE_CRITICAL } cooper_pressure;
COOPER_API cooper_code cooper_container_notify_oom(const cooper_container* container, cooper_events** out,
                                                   cooper_error* error);
COOPER_API cooper_code cooper_container_notify_memory_pressure(const cooper_container* container, cooper_pressure level,
                                                               cooper_events** out, cooper_error* error);
COOPER_API void cooper_events_free(cooper_events* events);
COOPER_API int cooper_events_fd(const cooper_events* events);
COOPER_API short cooper_events_poll(const cooper_events* events); /* what to poll(2) it for */
/* Blocks until something happened. `count` 0: the container's group is gone, and nothing more will come. */
COOPER_API cooper_code cooper_events_wait(cooper_events* events, uint64_t* count, cooper_error* error);

#ifdef __cplusplus
}
#endif
#endif
