// Times commands against each other: every round runs each of them once, in an order that is shuffled anew (the same
// way each time), so that drift of the machine, and what a command leaves the kernel to clean up after it, fall on all
// alike.
//
//   harness ROUNDS WARMUP SPACING_MS < jobs
//
// A job is one line: fields separated by tabs, the first its name, the others an argv. A field ";" begins a further
// command of the same job; all of them together are timed as one. "%n" in an argument becomes a number that no other
// run has. A job that fails (other status than 0) is reported and ends the measurement with status 1.
//
// Output, one line a run: name, round, nanoseconds from before posix_spawn to after wait4, peak resident set of the
// largest process in KiB, user + system time in microseconds. Standard streams of commands are /dev/null; standard
// error is inherited.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char** environ;

enum { kMaxJobs = 64, kMaxWords = 256 };

struct job {
  char* name;
  char* words[kMaxWords];
  int count;
};
static struct job jobs[kMaxJobs];
static int job_count;
static unsigned long run_number;

static void die(const char* what) {
  fprintf(stderr, "harness: %s: %s\n", what, strerror(errno));
  exit(2);
}

static void read_jobs(void) {
  char* line = NULL;
  size_t size = 0;
  ssize_t length;
  while ((length = getline(&line, &size, stdin)) > 0) {
    if (line[length - 1] == '\n') line[length - 1] = '\0';
    if (line[0] == '\0' || job_count == kMaxJobs) continue;
    struct job* job = &jobs[job_count++];
    char* rest = strdup(line);
    job->name = strsep(&rest, "\t");
    while (rest != NULL && job->count < kMaxWords - 1) job->words[job->count++] = strsep(&rest, "\t");
  }
  free(line);
}

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

// "%n" -> the number of this run; the result lives until the process ends (a few bytes a run).
static char* expand(const char* word) {
  const char* at = strstr(word, "%n");
  if (at == NULL) return (char*)word;
  char* out = NULL;
  if (asprintf(&out, "%.*s%lu%s", (int)(at - word), word, run_number, at + 2) < 0) die("memory");
  return out;
}

struct sample {
  int64_t ns;
  long rss_kib;
  int64_t cpu_us;
};

static void run_one(char* const argv[], const posix_spawn_file_actions_t* actions, const char* name,
                    struct sample* sample) {
  pid_t pid;
  const int failed = posix_spawnp(&pid, argv[0], actions, NULL, argv, environ);
  if (failed != 0) {
    errno = failed;
    die(argv[0]);
  }
  int status = 0;
  struct rusage usage;
  while (wait4(pid, &status, 0, &usage) < 0) {
    if (errno != EINTR) die("wait4");
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    fprintf(stderr, "harness: job '%s': '%s' ended with wait status %d\n", name, argv[0], status);
    exit(1);
  }
  if (usage.ru_maxrss > sample->rss_kib) sample->rss_kib = usage.ru_maxrss;
  sample->cpu_us +=
      (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000L + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

static struct sample run_job(const struct job* job, const posix_spawn_file_actions_t* actions) {
  char* argv[kMaxWords];
  char* expanded[kMaxWords];
  struct sample sample = {0, 0, 0};
  ++run_number;
  for (int i = 0; i < job->count; ++i) expanded[i] = expand(job->words[i]);
  const int64_t start = now_ns();
  for (int i = 0; i < job->count;) {
    int n = 0;
    while (i < job->count && strcmp(expanded[i], ";") != 0) argv[n++] = expanded[i++];
    ++i;
    argv[n] = NULL;
    if (n > 0) run_one(argv, actions, job->name, &sample);
  }
  sample.ns = now_ns() - start;
  return sample;
}

static void shuffle(int* order, int count) {
  static uint64_t state = 88172645463325252U;
  for (int i = count - 1; i > 0; --i) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    const int other = (int)(state % (uint64_t)(i + 1));
    const int kept = order[i];
    order[i] = order[other];
    order[other] = kept;
  }
}

int main(int argc, char** argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: harness ROUNDS WARMUP SPACING_MS < jobs\n");
    return 2;
  }
  const long rounds = atol(argv[1]);
  const long warmup = atol(argv[2]);
  const long spacing_ms = atol(argv[3]);
  read_jobs();
  run_number = (unsigned long)getpid() * 100000;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  int order[sizeof jobs / sizeof jobs[0]];
  for (int i = 0; i < job_count; ++i) order[i] = i;
  for (long round = -warmup; round < rounds; ++round) {
    shuffle(order, job_count);
    for (int i = 0; i < job_count; ++i) {
      const struct job* job = &jobs[order[i]];
      if (spacing_ms > 0) {
        const struct timespec pause = {spacing_ms / 1000, (spacing_ms % 1000) * 1000000};
        nanosleep(&pause, NULL);
      }
      const struct sample sample = run_job(job, &actions);
      if (round >= 0)
        printf("%s\t%ld\t%ld\t%ld\t%ld\n", job->name, round, (long)sample.ns, sample.rss_kib, (long)sample.cpu_us);
    }
  }
  return fflush(stdout) == 0 ? 0 : 2;
}
