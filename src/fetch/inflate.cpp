#include "fetch/inflate.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "fetch/spawn.h"
#include "fetch/thread.h"
#include "io/event_loop.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cooper::fetch {
namespace {

constexpr int kPipeBytes = 1 << 20;
constexpr std::size_t kFeedBytes = std::size_t{256} << 10;
constexpr int kReadyMs = 5000;

// Writing to a program that has ended is an error of the call, not the end of this one.
void block_sigpipe() {
  sigset_t set;
  (void)::sigemptyset(&set);
  (void)::sigaddset(&set, SIGPIPE);
  (void)::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

// Nullopt: it has ended, or there is none in that time.
std::optional<InflateWord> read_word(BorrowedFd status, int timeout_ms) {
  const std::int64_t deadline = io::monotonic_ms() + timeout_ms;
  struct pollfd one = {status.get(), POLLIN, 0};
  while (true) {
    const std::int64_t left = deadline - io::monotonic_ms();
    if (left < 0) return std::nullopt;
    const int ready = ::poll(&one, 1, static_cast<int>(left));
    if (ready < 0 && errno != EINTR) return std::nullopt;
    if (ready > 0) break;
  }
  std::array<char, 1> word{};
  const auto n = sys::read(status, word);
  if (!n.ok() || *n == 0) return std::nullopt;
  return static_cast<InflateWord>(word[0]);
}

}  // namespace

Status inflate_error(InflateWord word) {
  switch (word) {
    case InflateWord::kGood:
      return {};
    case InflateWord::kTruncated:
      return Error(Errc::kCorrupt, "gzip stream is truncated");
    case InflateWord::kFollowed:
      return Error(Errc::kCorrupt, "gzip stream is followed by other bytes");
    case InflateWord::kCorrupt:
      return Error(Errc::kCorrupt, "gzip stream is corrupt: bad data");
    case InflateWord::kReady:
    case InflateWord::kFailed:
      break;
  }
  return Error(Errc::kSystem, "cooper-inflate has failed");
}

struct InflatedGzip::Impl {
  explicit Impl(codec::ByteSource& source) : compressed(source) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    plain.reset();
    if (pid > 0) (void)::kill(pid, SIGKILL);
    feeder.reset();
    if (pid > 0) (void)!sys::waitpid(pid).ok();
  }

  bool launch(const std::string& program);
  Status feed();
  Status end();

  codec::ByteSource& compressed;
  UniqueFd input, plain, words;
  pid_t pid = -1;
  Status fed;  // the feeder's, until it is joined
  bool ended = false;
  std::optional<Thread> feeder;
};

bool InflatedGzip::Impl::launch(const std::string& program) {
  auto to = sys::pipe2();
  auto from = sys::pipe2();
  auto status = sys::pipe2();
  const auto nothing = sys::openat(sys::kCwd, "/dev/null", O_RDWR);
  if (!to.ok() || !from.ok() || !status.ok() || !nothing.ok()) return false;
  // Larger ones save turns; where they cannot be had it goes without.
  (void)::fcntl(to->read.get(), F_SETPIPE_SZ, kPipeBytes);
  (void)::fcntl(from->read.get(), F_SETPIPE_SZ, kPipeBytes);
  const auto child = spawn({.program = program,
                            .args = {kInflateVersion},
                            .env = {},
                            .descriptors = {{to->read.get(), STDIN_FILENO},
                                            {from->write.get(), STDOUT_FILENO},
                                            {nothing->get(), STDERR_FILENO},
                                            {status->write.get(), kInflateStatusFd}},
                            .own_session = true});
  if (!child.ok()) return false;
  pid = *child;
  input = std::move(to->write);
  plain = std::move(from->read);
  words = std::move(status->read);
  status->write.reset();
  if (read_word(words, kReadyMs) != InflateWord::kReady) return false;
  auto thread = Thread::start([this] {
    block_sigpipe();
    fed = feed();
    input.reset();
  });
  if (!thread.ok()) return false;
  feeder.emplace(std::move(*thread));
  return true;
}

Status InflatedGzip::Impl::feed() {
  std::vector<char> buffer(kFeedBytes);
  while (true) {
    ASSIGN_OR_RETURN(const std::size_t n, compressed.read(buffer));
    if (n == 0) return {};
    // It has found something before the end, which it says itself.
    if (!sys::write_all(input, {buffer.data(), n}).ok()) return {};
  }
}

Status InflatedGzip::Impl::end() {
  ended = true;
  const auto word = read_word(words, kReadyMs);
  feeder.reset();
  (void)::kill(pid, SIGKILL);
  const auto status = sys::waitpid(std::exchange(pid, -1));
  RETURN_IF_ERROR(std::move(fed));
  if (word) return inflate_error(*word);
  const bool killed = status.ok() && status->signal != 0 && status->signal != SIGKILL;
  return Error(Errc::kSystem, killed ? "cooper-inflate was killed by signal " + std::to_string(status->signal)
                                     : "cooper-inflate has ended before the data has");
}

InflatedGzip::InflatedGzip(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
InflatedGzip::~InflatedGzip() = default;

std::unique_ptr<InflatedGzip> InflatedGzip::start(const std::string& program, codec::ByteSource& compressed) {
  auto impl = std::make_unique<Impl>(compressed);
  if (!impl->launch(program)) return nullptr;
  return std::unique_ptr<InflatedGzip>(new InflatedGzip(std::move(impl)));  // ban-ok(new): private constructor
}

Result<std::size_t> InflatedGzip::read(std::span<char> buffer) {
  if (impl_->ended || buffer.empty()) return std::size_t{0};
  ASSIGN_OR_RETURN(const std::size_t n, sys::read(impl_->plain, buffer));
  if (n == 0) RETURN_IF_ERROR(impl_->end());
  return n;
}

}  // namespace cooper::fetch
