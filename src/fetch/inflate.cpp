#include "fetch/inflate.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "fetch/spawn.h"
#include "fetch/thread.h"
#include "io/event_loop.h"
#include "sys/file.h"
#include "sys/mapping.h"
#include "sys/process.h"
#include "sys/retry.h"
#include "sys/socket.h"

namespace cooper::fetch {
namespace {

constexpr int kReadyMs = 5000;
constexpr int kTurnMs = 1000;
// Who has bytes to work on moves so many in so long, on the busiest machine, or never will.
constexpr std::int64_t kStallMs = 30'000;
constexpr std::uint64_t kMinMoved = std::uint64_t{64} << 10;
// Deflate makes at most 258 bytes of two bits.
constexpr std::uint64_t kMaxRatio = 1032;

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

Result<std::size_t> receive_inflate_size(BorrowedFd socket) {
  InflateSize message = 0;
  std::array<char, sizeof message + 1> bytes{};
  // read(2): cooper-inflate, which receives sizes as well, may call no other.
  const ssize_t n = sys::retry_receive([&] { return ::read(socket.get(), bytes.data(), bytes.size()); });
  if (n < 0) return Error::from_errno(errno, "receive a size");
  if (n != static_cast<ssize_t>(sizeof message)) return Error(Errc::kSystem, "no size was received");
  std::memcpy(&message, bytes.data(), sizeof message);
  return std::size_t{message};
}

struct InflatedGzip::Impl {
  explicit Impl(codec::ByteSource& source) : compressed(source) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    output.reset();
    if (pid > 0) (void)::kill(pid, SIGKILL);
    feeder.reset();
    if (pid > 0) (void)!sys::waitpid(pid).ok();
  }

  bool launch(const std::string& program);
  Status feed();
  Status wait_for_slot();
  Status next_slot();
  Status end();

  codec::ByteSource& compressed;
  UniqueFd input, output, words;
  std::optional<sys::Mapping> memory;
  std::size_t slot = 0;        // of the output, that comes next
  std::span<const char> left;  // of the one before it
  pid_t pid = -1;
  Status fed;  // the feeder's, until it is joined
  std::atomic<std::uint64_t> given_bytes = 0;
  std::atomic<bool> at_source = true;  // the feeder: what comes later is not the program's fault
  std::uint64_t got_bytes = 0;
  std::uint64_t moved_bytes = 0;  // given and got, when the wait for more began
  std::int64_t waited_ms = 0;
  bool ended = false;
  std::optional<Thread> feeder;
};

bool InflatedGzip::Impl::launch(const std::string& program) {
  auto to = sys::socketpair(SOCK_SEQPACKET);
  auto from = sys::socketpair(SOCK_SEQPACKET);
  auto status = sys::pipe2();
  const auto nothing = sys::openat(sys::kCwd, "/dev/null", O_RDWR);
  const auto shared = sys::sealed_memory("cooper-inflate", kInflateMemoryBytes);
  if (!to.ok() || !from.ok() || !status.ok() || !nothing.ok() || !shared.ok()) return false;
  auto mapped = sys::Mapping::shared(*shared, kInflateMemoryBytes);
  if (!mapped.ok()) return false;
  memory.emplace(std::move(*mapped));
  const auto child = spawn({.program = program,
                            .args = {kInflateVersion},
                            .env = {},
                            .descriptors = {{to->second.get(), kInflateInputFd},
                                            {from->second.get(), kInflateOutputFd},
                                            {nothing->get(), STDERR_FILENO},
                                            {status->write.get(), kInflateStatusFd},
                                            {shared->get(), kInflateMemoryFd}},
                            .own_session = true});
  if (!child.ok()) return false;
  pid = *child;
  input = std::move(to->first);
  output = std::move(from->first);
  words = std::move(status->read);
  status->write.reset();
  if (read_word(words, kReadyMs) != InflateWord::kReady) return false;
  auto thread = Thread::start([this] {
    fed = feed();
    // There is no end of the data then, only one of the program. It may still give slots back otherwise.
    if (!fed.ok()) input.reset();
  });
  if (!thread.ok()) return false;
  feeder.emplace(std::move(*thread));
  return true;
}

Status InflatedGzip::Impl::feed() {
  // What is hashed and kept on the way must be what it was when it was read: the shared bytes are the program's.
  std::vector<char> buffer(kInflateInputBytes);
  for (std::size_t filled = 0;; ++filled) {
    at_source = true;
    auto got = compressed.read(buffer);
    const std::size_t n = got.ok() ? *got : 0;
    given_bytes += n;
    at_source = false;
    if (!got.ok()) return std::move(got).error();
    // When it takes no more, it has found something before the end, which it says itself.
    if (filled >= kInflateInputSlots && !receive_inflate_size(input).ok()) return {};
    std::memcpy(memory->bytes().subspan(inflate_input_offset(filled)).data(), buffer.data(), n);
    const auto size = static_cast<InflateSize>(n);
    if (!sys::send_message(input, inflate_message(size)).ok() || n == 0) return {};
  }
}

// One that was taken over may do nothing, or too little ever to come to an end.
Status InflatedGzip::Impl::wait_for_slot() {
  struct pollfd one = {output.get(), POLLIN, 0};
  while (true) {
    const std::int64_t begin_ms = io::monotonic_ms();
    bool waits_for_us = at_source;
    const int ready = ::poll(&one, 1, kTurnMs);
    if (ready < 0 && errno != EINTR) return Error::from_errno(errno, "wait for cooper-inflate");
    waits_for_us = waits_for_us || at_source;
    if (given_bytes + got_bytes - moved_bytes >= kMinMoved) {
      moved_bytes = given_bytes + got_bytes;
      waited_ms = 0;
    } else if (!waits_for_us) {
      waited_ms += io::monotonic_ms() - begin_ms;
    }
    if (waited_ms >= kStallMs)
      return Error(Errc::kTimeout,
                   "cooper-inflate has done next to nothing for " + std::to_string(kStallMs / 1000) + " s")
          .with_hint("try again");
    if (ready > 0) return {};
  }
}

Status InflatedGzip::Impl::next_slot() {
  RETURN_IF_ERROR(wait_for_slot());
  const auto size = receive_inflate_size(output);
  if (!size.ok()) return end();
  if (*size == 0 || *size > kInflateOutputBytes)
    return Error(Errc::kSystem, "cooper-inflate has sent what is no size of a piece of data");
  got_bytes += *size;
  if (got_bytes / kMaxRatio > given_bytes)
    return Error(Errc::kSystem, "cooper-inflate has made more of the data than can be in it");
  left = memory->bytes().subspan(inflate_output_offset(slot++), *size);
  return {};
}

Status InflatedGzip::Impl::end() {
  ended = true;
  const auto word = read_word(words, kReadyMs);
  (void)::kill(pid, SIGKILL);
  feeder.reset();
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
  if (impl_->left.empty()) RETURN_IF_ERROR(impl_->next_slot());
  const std::size_t n = std::min(buffer.size(), impl_->left.size());
  std::copy_n(impl_->left.data(), n, buffer.data());
  impl_->left = impl_->left.subspan(n);
  // That it has ended meanwhile is seen with the next size.
  if (n != 0 && impl_->left.empty()) (void)!sys::send_message(impl_->output, inflate_message(0)).ok();
  return n;
}

}  // namespace cooper::fetch
