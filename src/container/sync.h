// The conversation of parent and child during a start: one SEQPACKET socket pair, one message a packet.
//
//   child                                   parent
//     Reached "create-runtime-hooks"  ───▶    (runs prestart, createRuntime)
//                                     ◀───  Continue "create-runtime-hooks"
//                                     ◀───  Continue "id-maps"                 (as soon as done; may come early)
//     Console + pty master            ───▶    (hands it on)
//     Lock + descriptor               ───▶    (keeps it)
//     Namespaces                      ───▶    (when asked for: their numbers)
//     Reached "start"                 ───▶    (state is written: created)
//                                             after the start, from the last mile:
//     Listener + descriptor           ───▶    (hands it to the seccomp agent)
//                                     ◀───  Continue "listener"
//                                     ◀───  Continue "start"                   (run; after create it comes over
//                                     start.sock; for an exec it may come early)
//     Failure                         ───▶    at any time; the child then exits
//     end of file                     ───▶    the exec happened (or the child died before: then no Reached "start"
//     came)
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::container {

enum class MessageType : std::uint8_t {
  kReached = 1,
  kFailure = 2,
  kConsole = 3,
  kContinue = 4,
  kListener = 5,
  kNamespaces = 6,
  kLock = 7
};

struct SyncMessage {
  MessageType type = MessageType::kReached;
  std::string text;  // name of the step
  UniqueFd fd;       // kConsole, kListener, kLock
  bool eof = false;
};

Status send_message(BorrowedFd socket, MessageType type, std::string_view text, int fd = -1);
// A failure is sent as code, errno, message, hint and step, so that the parent reports the child's own sentence.
Status send_failure(BorrowedFd socket, const Error& error);
// Returns the peer's Failure as an error. End of file is reported in `eof`.
Result<SyncMessage> receive_message(BorrowedFd socket);

// Wire form of a failure, used by zone X as well (fixed layout, no allocation): type byte, code byte, errno (int32),
// text, NUL, hint, NUL, step.
inline constexpr std::size_t kMaxMessage = 8192;

}  // namespace cooper::container
