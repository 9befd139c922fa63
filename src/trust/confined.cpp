#include "trust/internal/confined.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/strings.h"
#include "io/event_loop.h"
#include "io/landlock.h"
#include "seccomp/confined.h"
#include "seccomp/seccomp.h"
#include "sys/file.h"
#include "sys/process.h"
#include "trust/internal/confined_lastmile.h"

namespace cooper::trust {
namespace {

constexpr unsigned long kMaxMemoryBytes = 512UL << 20;
constexpr int kEndMs = 5000;
constexpr int kDescriptors = 6;

// gpgv, its libraries, and what the dynamic loader reads.
constexpr std::array<const char*, 5> kExecutable = {"/usr/bin", "/usr/lib", "/usr/lib64", "/lib", "/lib64"};
constexpr std::array<const char*, 4> kReadable = {"/etc/ld.so.cache", "/etc/gcrypt", "/dev/null", "/dev/urandom"};

// gpgv reads, calculates and writes; before that it is loaded, into the descriptors it was given.
oci::Seccomp filter() {
  oci::Seccomp out = seccomp::confined_profile();
  seccomp::allow(out, {"execve", "arch_prctl", "set_tid_address", "poll", "ppoll", "select", "pselect6", "dup", "dup2",
                       "dup3", "fadvise64", "mlock", "times", "getrusage", "umask"});
  seccomp::allow_opening_to_read(out);
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  for (std::string& word : words) out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

// Kills and reaps it unless it was reaped before.
class Child {
 public:
  explicit Child(sys::Cloned cloned) : pid_(cloned.pid), pidfd_(std::move(cloned.pidfd)) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ < 0) return;
    (void)!sys::pidfd_send_signal(pidfd_, SIGKILL).ok();
    (void)!sys::waitpid(pid_).ok();
  }
  Result<sys::ExitStatus> wait() {
    ASSIGN_OR_RETURN(const bool ended, sys::pidfd_wait(pidfd_, kEndMs));
    if (!ended) return Error(Errc::kTimeout, "it does not end");
    return sys::waitpid(std::exchange(pid_, -1));
  }

 private:
  pid_t pid_;
  UniqueFd pidfd_;
};

struct Stream {
  UniqueFd pipe;
  std::string* text = nullptr;
  std::size_t max_bytes = 0;
};

Status read_some(Stream& stream, std::span<char> buffer) {
  ASSIGN_OR_RETURN(const std::size_t n, sys::read(stream.pipe, buffer));
  if (n == 0) {
    stream.pipe.reset();
    return {};
  }
  if (stream.text->size() + n > stream.max_bytes)
    return Error(Errc::kLimit, "it says more than " + format_bytes(stream.max_bytes));
  stream.text->append(buffer.data(), n);
  return {};
}

Status collect(std::array<Stream, 2>& streams, const ConfinedRun& run) {
  const std::int64_t end_ms = io::monotonic_ms() + std::int64_t{run.time_limit_s} * 1000;
  std::array<char, 16384> buffer{};
  while (streams[0].pipe.valid() || streams[1].pipe.valid()) {
    const std::int64_t left_ms = end_ms - io::monotonic_ms();
    if (left_ms <= 0) return Error(Errc::kTimeout, "it took more than " + std::to_string(run.time_limit_s) + " s");
    std::array<struct pollfd, 3> fds = {
        {{streams[0].pipe.get(), POLLIN, 0}, {streams[1].pipe.get(), POLLIN, 0}, {run.cancel.get(), POLLIN, 0}}};
    const int ready = ::poll(fds.data(), fds.size(), static_cast<int>(std::min<std::int64_t>(left_ms, 60'000)));
    if (ready < 0 && errno != EINTR) {
      const int saved = errno;
      return Error::from_errno(saved, "wait for it");
    }
    if (ready <= 0) continue;
    if (fds[2].revents != 0) return Error(Errc::kCancelled, "was interrupted", ECANCELED);
    for (std::size_t i = 0; i < streams.size(); ++i) {
      if (fds[i].revents != 0) RETURN_IF_ERROR(read_some(streams[i], buffer));
    }
  }
  return {};
}

// Everything the child needs, made before there is one.
class Launch {
 public:
  explicit Launch(const ConfinedRun& run) : run_(run), args_(run.args) { args_.insert(args_.begin(), run.program); }

  Status prepare();
  // The caller's ends of what the program writes are in `streams`.
  Result<sys::Cloned> start(std::array<Stream, 2>& streams, ConfinedOutcome& outcome);
  // errno of the exec, or of what was before it.
  Status await_exec();

 private:
  Status place(BorrowedFd fd, UniqueFd& out) {
    ASSIGN_OR_RETURN(out, sys::dup_cloexec(fd, kDescriptors));
    return {};
  }

  const ConfinedRun& run_;
  std::vector<std::string> args_;
  std::vector<std::string> env_ = {"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"};
  seccomp::Program program_;
  UniqueFd ruleset_, report_read_, report_, output_read_, status_read_;
  std::array<UniqueFd, kDescriptors> files_;
};

Status Launch::prepare() {
  std::vector<const char*> executable(kExecutable.begin(), kExecutable.end());
  executable.push_back(run_.program.c_str());
  ASSIGN_OR_RETURN(const auto ruleset, io::reading_only({.read = kReadable, .execute = executable}));
  if (ruleset) RETURN_IF_ERROR(place(*ruleset, ruleset_));
  ASSIGN_OR_RETURN(program_, seccomp::compile(filter()));
  ASSIGN_OR_RETURN(const UniqueFd nothing, sys::openat(sys::kCwd, "/dev/null", O_RDWR));
  ASSIGN_OR_RETURN(auto output, sys::pipe2(O_CLOEXEC));
  ASSIGN_OR_RETURN(auto status, sys::pipe2(O_CLOEXEC));
  ASSIGN_OR_RETURN(auto report, sys::pipe2(O_CLOEXEC));
  RETURN_IF_ERROR(place(run_.input.valid() ? run_.input : nothing.borrow(), files_[0]));
  RETURN_IF_ERROR(place(output.write, files_[1]));
  RETURN_IF_ERROR(place(nothing, files_[2]));
  RETURN_IF_ERROR(place(status.write, files_[3]));
  RETURN_IF_ERROR(place(run_.signature, files_[4]));
  RETURN_IF_ERROR(place(run_.keys, files_[5]));
  RETURN_IF_ERROR(place(report.write, report_));
  output_read_ = std::move(output.read);
  status_read_ = std::move(status.read);
  report_read_ = std::move(report.read);
  return {};
}

Result<sys::Cloned> Launch::start(std::array<Stream, 2>& streams, ConfinedOutcome& outcome) {
  std::array<int, kDescriptors> descriptors{};
  std::ranges::transform(files_, descriptors.begin(), [](const UniqueFd& fd) { return fd.get(); });
  const std::vector<char*> args = pointers(args_);
  const std::vector<char*> env = pointers(env_);
  const ConfinedStart start = {.program = run_.program.c_str(),
                               .args = args.data(),
                               .env = env.data(),
                               .descriptors = descriptors.data(),
                               .descriptor_count = kDescriptors,
                               .report = report_.get(),
                               .landlock = ruleset_.get(),
                               .filter = program_.instructions.data(),
                               .filter_count = static_cast<unsigned short>(program_.instructions.size()),
                               .filter_flags = program_.flags,
                               .drop_root = ::geteuid() == 0,
                               .cpu_s = run_.time_limit_s + 1UL,
                               .memory_bytes = kMaxMemoryBytes};
  // Until the exec it calls the kernel only: other threads of ours do not matter.
  auto cloned = sys::clone3(0);
  if (cloned.ok() && cloned->pid == 0) start_confined(start);
  // Pipes end when the program's ends of them do.
  files_ = {};
  report_.reset();
  streams = {{{std::move(output_read_), &outcome.output, run_.max_output_bytes},
              {std::move(status_read_), &outcome.status, run_.max_status_bytes}}};
  return cloned;
}

Status Launch::await_exec() {
  int saved = 0;
  std::array<char, sizeof saved> bytes{};
  ASSIGN_OR_RETURN(const std::size_t n, sys::read(report_read_, bytes));
  if (n == 0) return {};
  std::memcpy(&saved, bytes.data(), sizeof saved);
  return Error::from_errno(saved, "start");
}

Result<ConfinedOutcome> run_program(const ConfinedRun& run) {
  Launch launch(run);
  RETURN_IF_ERROR(launch.prepare());
  ConfinedOutcome out;
  std::array<Stream, 2> streams;
  ASSIGN_OR_RETURN(sys::Cloned cloned, launch.start(streams, out));
  Child child(std::move(cloned));
  RETURN_IF_ERROR(launch.await_exec());
  RETURN_IF_ERROR(collect(streams, run));
  ASSIGN_OR_RETURN(const sys::ExitStatus ended, child.wait());
  if (ended.signal != 0) return Error(Errc::kSystem, "it was killed by signal " + std::to_string(ended.signal));
  out.exit_code = ended.code;
  return out;
}

}  // namespace

Result<ConfinedOutcome> run_confined(const ConfinedRun& run) {
  auto out = run_program(run);
  if (!out.ok()) return std::move(out).error().with(quoted(run.program));
  return out;
}

}  // namespace cooper::trust
