#include "fetch/verify.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>

#include "base/scope_exit.h"
#include "fetch/protocol.h"
#include "fetch/spawn.h"
#include "io/event_loop.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cooper::fetch {
namespace {

constexpr std::int64_t kTimeLimitMs = 30'000;
constexpr std::size_t kMaxAnswerBytes = 4096;

Result<UniqueFd> in_memory(std::string_view bytes) {
  if (bytes.size() > kMaxVerifyBytes) return Error(Errc::kLimit, "a signature, its text or its key is too large");
  ASSIGN_OR_RETURN(UniqueFd file, sys::memfd_create("cooper-verify", MFD_CLOEXEC));
  RETURN_IF_ERROR(sys::pwrite_all(file, bytes, 0));
  return file;
}

Result<std::string> read_answer(BorrowedFd pipe) {
  const std::int64_t deadline = io::monotonic_ms() + kTimeLimitMs;
  std::string out;
  std::array<char, 512> buffer{};
  while (out.size() <= kMaxAnswerBytes) {
    struct pollfd one = {pipe.get(), POLLIN, 0};
    const std::int64_t left = deadline - io::monotonic_ms();
    if (left <= 0 || ::poll(&one, 1, static_cast<int>(left)) == 0)
      return Error(Errc::kTimeout, "cooper-fetch has not checked a signature within half a minute", ETIMEDOUT);
    ASSIGN_OR_RETURN(const std::size_t n, sys::read(pipe, buffer));
    if (n == 0) return out;
    out.append(buffer.data(), n);
  }
  return Error(Errc::kLimit, "cooper-fetch has too much to say about a signature");
}

}  // namespace

Status verify(const std::string& program, const Verification& question) {
  ASSIGN_OR_RETURN(const UniqueFd key, in_memory(question.key));
  ASSIGN_OR_RETURN(const UniqueFd payload, in_memory(question.payload));
  ASSIGN_OR_RETURN(const UniqueFd signature, in_memory(question.signature));
  ASSIGN_OR_RETURN(const UniqueFd nothing, sys::openat(sys::kCwd, "/dev/null", O_RDWR));
  ASSIGN_OR_RETURN(auto output, sys::pipe2());
  ASSIGN_OR_RETURN(const pid_t pid, spawn({.program = program,
                                           .args = {std::string(kVerifyWord)},
                                           .env = {},
                                           .descriptors = {{nothing.get(), STDIN_FILENO},
                                                           {output.write.get(), STDOUT_FILENO},
                                                           {nothing.get(), STDERR_FILENO},
                                                           {key.get(), kVerifyKeyFd},
                                                           {payload.get(), kVerifyPayloadFd},
                                                           {signature.get(), kVerifySignatureFd}},
                                           .own_session = true}));
  output.write.reset();
  auto answer = read_answer(output.read);
  if (!answer.ok()) (void)::kill(pid, SIGKILL);
  ASSIGN_OR_RETURN(const auto status, sys::waitpid(pid));
  if (!answer.ok()) return std::move(answer).error();
  if (status.signal == 0 && status.code == 0 && *answer == kVerifyGood) return {};
  if (status.signal != 0)
    return Error(Errc::kSystem, "cooper-fetch was killed by signal " + std::to_string(status.signal) +
                                    " while it checked a signature");
  constexpr int kBadKey = 2;
  return Error(status.code == kBadKey ? Errc::kInvalidArgument : Errc::kPermission,
               answer->empty() ? "cooper-fetch could not check a signature" : for_people(*answer, 500));
}

}  // namespace cooper::fetch
