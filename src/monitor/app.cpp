#include "monitor/internal/app.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <termios.h>
#include <time.h>

#include <algorithm>

#include "base/strings.h"
#include "io/file.h"
#include "spec/oci_runtime/id_maps.h"
#include "sys/file.h"

namespace cooper::monitor::internal {
namespace {

constexpr int kPartialMs = 1000;       // an unfinished line is logged after so long
constexpr int kTerminalRetryMs = 200;  // a terminal that no process has open may be opened again
constexpr int kPipeSize = 256 << 10;

struct timespec wall_clock() {
  struct timespec now = {};
  (void)::clock_gettime(CLOCK_REALTIME, &now);
  return now;
}

// The monitor's own is another by the time that the post-stop program starts.
void inherit_oom_score(oci::Config& config) {
  if (!config.process || config.process->oom_score_adj) return;
  const auto text = io::read_file("/proc/self/oom_score_adj");
  if (text.ok()) config.process->oom_score_adj = parse_number<int>(trim(*text));
}

bool has_own_pid_namespace(const oci::Config& config) {
  if (!config.linux) return false;
  return std::ranges::any_of(config.linux->namespaces,
                             [](const oci::Namespace& ns) { return ns.type == "pid" && ns.path.empty(); });
}

}  // namespace

Result<Scratch> Scratch::create() {
  void* memory = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return Error::from_errno(errno, "map memory");
  return Scratch(static_cast<char*>(memory));
}

void Scratch::release_memory() {
  (void)::madvise(memory_, kSize, MADV_DONTNEED);
}

// An app that is not root may open /dev/stdout and such again, which the mode of a pipe allows to its owner only.
void App::own_by_app_user(BorrowedFd fd) const {
  if (!spec_.config.process) return;
  const oci::User& user = spec_.config.process->user;
  (void)!sys::fchown(fd, oci::host_uid(spec_.config, user.uid), oci::host_gid(spec_.config, user.gid)).ok();
}

Status App::make_pipes() {
  for (std::size_t i = 0; i < 2; ++i) {
    ASSIGN_OR_RETURN(sys::Pipe pipe, sys::pipe2());
    RETURN_IF_ERROR(sys::fcntl_setfl(pipe.read, O_NONBLOCK));
    // Fewer switches between app and monitor; without the right to it the default size does.
    (void)::fcntl(pipe.read.get(), F_SETPIPE_SZ, kPipeSize);
    own_by_app_user(pipe.write);
    sources_[i].fd = std::move(pipe.read);
    sources_[i].stream = i == 0 ? protocol::Stream::kStdout : protocol::Stream::kStderr;
    child_ends_[i + 1] = std::move(pipe.write);
  }
  if (!spec_.stdin_open) {
    ASSIGN_OR_RETURN(child_ends_[0], sys::openat(sys::kCwd, "/dev/null", O_RDONLY));
    return {};
  }
  ASSIGN_OR_RETURN(sys::Pipe pipe, sys::pipe2());
  RETURN_IF_ERROR(sys::fcntl_setfl(pipe.write, O_WRONLY | O_NONBLOCK));
  own_by_app_user(pipe.read);
  child_ends_[0] = std::move(pipe.read);
  in_ = std::move(pipe.write);
  return {};
}

Status App::prepare(BorrowedFd pod_dir) {
  if (!spec_.log_file.empty()) {
    ASSIGN_OR_RETURN(log_, LogWriter::open(pod_dir, spec_.log_file, spec_.log_max_bytes, spec_.log_max_files));
  }
  own_pid_namespace_ = has_own_pid_namespace(spec_.config);
  if (spec_.post_stop) inherit_oom_score(spec_.post_stop->config);
  return prepare_streams();
}

Status App::prepare_streams() {
  container::CreateOptions& create = spec_.create;
  create.parent_death_signal = SIGKILL;
  create.keep_console = spec_.terminal;
  create.console_socket.clear();
  if (spec_.config.process) spec_.config.process->terminal = spec_.terminal;
  if (spec_.terminal) return {};
  RETURN_IF_ERROR(make_pipes());
  create.stdio = {child_ends_[0].get(), child_ends_[1].get(), child_ends_[2].get()};
  return {};
}

Status App::adopt(container::Created created) {
  pid_ = created.pid;
  pidfd_ = std::move(created.pidfd);
  for (UniqueFd& fd : child_ends_) fd.reset();
  if (spec_.terminal) {
    if (!created.console) return Error(Errc::kInternal, "the container was made without its terminal");
    RETURN_IF_ERROR(sys::fcntl_setfl(created.console, O_RDWR | O_NONBLOCK));
    // The loop knows a descriptor once: input gets one of its own.
    if (spec_.stdin_open) {
      ASSIGN_OR_RETURN(in_, sys::dup_cloexec(created.console));
    }
    sources_[0].fd = std::move(created.console);
  }
  for (Source& source : sources_) {
    if (source.fd) RETURN_IF_ERROR(watch(source));
  }
  return {};
}

Status App::prepare_post_stop(PostStop post_stop) {
  in_post_stop_ = true;
  draining_ = false;
  drained_ = 0;
  spec_.config = std::move(post_stop.config);
  spec_.create = std::move(post_stop.create);
  if (!spec_.terminal) spec_.stdin_open = false;
  return prepare_streams();
}

void App::drop_streams() {
  for (UniqueFd& fd : child_ends_) fd.reset();
  for (Source& source : sources_) end_source(source);
}

void App::forget_config() {
  spec_.config = oci::Config();
  container::CreateOptions kept;
  kept.id = std::move(spec_.create.id);
  spec_.create = std::move(kept);
}

Status App::watch(Source& source) {
  if (source.watched) return {};
  RETURN_IF_ERROR(loop_.add(source.fd, EPOLLIN, [this, &source](std::uint32_t) { on_readable(source); }));
  source.watched = true;
  return {};
}

void App::unwatch(Source& source) {
  if (source.watched) loop_.remove(source.fd);
  source.watched = false;
}

void App::on_readable(Source& source) {
  (void)read_once(source);
  if (draining_) {
    finish_drain();
  } else {
    update_flow();
  }
}

bool App::read_once(Source& source) {
  if (!source.fd) return false;
  if (draining_ && drained_ > kDrainLimit && hub_.holds_back(index_)) {
    unwatch(source);
    return false;
  }
  const auto n = sys::read(source.fd, scratch_.span());
  if (n.ok() && *n > 0) {
    if (draining_) drained_ += *n;
    deliver(source.stream, {scratch_.span().data(), *n});
    return true;
  }
  if (!n.ok() && n.error().errno_value() == EAGAIN) return false;
  // A terminal says EIO while no process has it open.
  if (spec_.terminal && !draining_) {
    retry_terminal(source);
  } else {
    end_source(source);
  }
  return false;
}

void App::retry_terminal(Source& source) {
  unwatch(source);
  (void)loop_.add_timer(kTerminalRetryMs, [this, &source] {
    if (source.fd && !draining_) (void)!watch(source).ok();
  });
}

void App::end_source(Source& source) {
  unwatch(source);
  source.fd.reset();
}

void App::deliver(protocol::Stream stream, std::string_view data) {
  touch();
  // The log first: whatever a client saw is in it.
  log_.append(stream, data, wall_clock());
  hub_.output(index_, stream, data);
  if (!log_.has_partial() || partial_timer_) return;
  partial_timer_ = true;
  (void)loop_.add_timer(kPartialMs, [this] {
    partial_timer_ = false;
    log_.flush_partials(wall_clock());
  });
}

void App::touch() {
  if (active_) return;
  active_ = true;
  if (on_active_) on_active_();
}

void App::update_flow() {
  if (draining_) return;
  const bool held = hub_.holds_back(index_);
  for (Source& source : sources_) {
    if (!source.fd) continue;
    if (held) {
      unwatch(source);
    } else {
      (void)!watch(source).ok();
    }
  }
}

void App::drain(std::function<void()> done) {
  draining_ = true;
  drain_done_ = std::move(done);
  for (Source& source : sources_) {
    while (read_once(source)) {
    }
    if (source.fd) (void)!watch(source).ok();
  }
  drain_timer_ = loop_.add_timer(kDrainMs, [this] {
    drain_timer_ = 0;
    for (Source& source : sources_) end_source(source);
    finish_drain();
  });
  finish_drain();
}

void App::finish_drain() {
  if (!drain_done_ || std::ranges::any_of(sources_, [](const Source& source) { return source.fd.valid(); })) return;
  if (drain_timer_ != 0) loop_.cancel_timer(drain_timer_);
  drain_timer_ = 0;
  log_.flush_partials(wall_clock());
  lose_stdin();
  const auto done = std::exchange(drain_done_, nullptr);
  done();
}

void App::write_stdin(std::string_view data) {
  if (!in_ || in_eof_) return;
  touch();
  in_buffer_.append(data);
  if (!in_watched_) flush_stdin();
}

void App::close_stdin() {
  if (!in_ || spec_.terminal) return;
  in_eof_ = true;
  if (!in_watched_) flush_stdin();
}

// Writes what the app takes; watches for more room while something is left.
void App::flush_stdin() {
  while (in_offset_ < in_buffer_.size()) {
    const auto n = sys::write(in_, std::string_view(in_buffer_).substr(in_offset_));
    if (n.ok()) {
      in_offset_ += *n;
      continue;
    }
    if (n.error().errno_value() != EAGAIN) {
      lose_stdin();  // the app closed its input: what comes is discarded
      return;
    }
    if (!in_watched_) {
      if (!loop_
               .add(in_, EPOLLOUT,
                    [this](std::uint32_t) {
                      flush_stdin();
                      if (stdin_has_room()) hub_.input_ready(index_);
                    })
               .ok()) {
        lose_stdin();
        return;
      }
      in_watched_ = true;
    }
    if (in_offset_ >= kStdinLimit / 2) {
      in_buffer_.erase(0, in_offset_);
      in_offset_ = 0;
    }
    return;
  }
  in_buffer_ = std::string();
  in_offset_ = 0;
  if (in_watched_) loop_.remove(in_);
  in_watched_ = false;
  if (in_eof_) in_.reset();
}

void App::lose_stdin() {
  if (in_watched_) loop_.remove(in_);
  in_watched_ = false;
  in_.reset();
  in_buffer_ = std::string();
  in_offset_ = 0;
  // Clients that waited for room go on, so that their other requests are heard.
  (void)loop_.add_timer(0, [this] { hub_.input_ready(index_); });
}

void App::resize(std::uint16_t height, std::uint16_t width) {
  if (!spec_.terminal || !sources_[0].fd) return;
  struct winsize size = {};
  size.ws_row = height;
  size.ws_col = width;
  (void)::ioctl(sources_[0].fd.get(), TIOCSWINSZ, &size);
}

}  // namespace cooper::monitor::internal
