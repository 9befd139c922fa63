// The language of monitor.sock: what a client and the monitor of a pod say to each other.
//
// Transport: AF_UNIX SOCK_SEQPACKET, one frame per packet, never an empty packet. The socket file is 0600: whoever may
// open it controls the pod. A frame is
//
//   byte 0    type (FrameType)
//   byte 1    stream: 0 none, 1 stdout, 2 stderr
//   byte 2-3  request number, little endian: chosen by the client, repeated in the reply; 0: no reply wanted
//   byte 4-   payload: bytes of a stream (kStdin, kOutput), else one JSON object, at most kMaxPayload bytes
//
//   from the monitor                                from a client
//     kHello    first frame, unasked                  kAttach kWait kResize kStop kKill kReopenLogs kStatus
//     kReply    to a request                            each answered by one kReply with its request number
//     kOutput   of attached streams                   kStdin kStdinEof kDetach
//     kExit     an attached or awaited app ended        not answered
//     kDropped  this client is let go, and why
//     kPodExit  the pod ended; the last frame
//
// Rules
//
// - The reply to kAttach comes before the first kOutput. Output of before the attach is in the log, not replayed.
//
// - kExit of an app comes after its last kOutput. It is sent to clients attached to the app, and to those that asked
//   with kWait (at once when the app has ended already). kPodExit goes to every connected client when nothing of the
//   pod is left: processes, cgroups and mounts are gone, the state transition is done, the lock is free.
//
// - A connection that ends without kPodExit: the monitor was killed (the exit record says so) or dropped the client.
//
// - Slow readers: each client has its own queue of 1 MiB. When it is full the client is dropped (kDropped, then end of
//   connection); the app, the log and other clients never wait. A client that attached with `hold_back` is waited for
//   instead: from 256 KiB on the app's streams are not read until the queue is below 64 KiB, so the app blocks in its
//   write as it would on a pipe of its own. Such a client is dropped when it takes nothing for 10 s - except the one
//   that started the pod in the foreground, which is waited for without limit (a stopped `cooper run | less` stops the
//   app, and no byte is lost). When the pod ends first, a process of its own serves what that client has not read.
//
// - Standard input: every client attached with `stdin` may write; the monitor stops reading from a client while 64 KiB
//   wait for the app (so later frames of that client wait, too). With stdin_once the first client attached with `stdin`
//   owns it: its kStdinEof, or the end of its connection without kDetach, closes the app's input when everything was
//   written. After kDetach the next such client is the owner. Without stdin_once, and on terminals, kStdinEof is
//   ignored.
//
// - Malformed or unknown frames end the connection, nothing else.
//
// Version: kHello carries it. Additions (JSON members, frame types that clients may ignore) keep the number; a client
// refuses a monitor with a higher number.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "monitor/monitor.h"

namespace cooper::monitor::protocol {

inline constexpr int kVersion = 1;
inline constexpr std::size_t kHeaderSize = 4;
inline constexpr std::size_t kMaxPayload = std::size_t{64} << 10;
inline constexpr std::size_t kMaxFrame = kHeaderSize + kMaxPayload;
inline constexpr std::string_view kSocketName = "monitor.sock";

enum class FrameType : std::uint8_t {
  kHello = 1,
  kReply = 2,
  kOutput = 3,
  kExit = 4,
  kPodExit = 5,
  kDropped = 6,
  kAttach = 16,
  kStdin = 17,
  kStdinEof = 18,
  kDetach = 19,
  kResize = 20,
  kWait = 21,
  kStop = 22,
  kKill = 23,
  kReopenLogs = 24,
  kStatus = 25,
};

enum class Stream : std::uint8_t { kNone = 0, kStdout = 1, kStderr = 2 };

// A frame as received; payload refers to the packet.
struct FrameView {
  FrameType type{};
  Stream stream = Stream::kNone;
  std::uint16_t request = 0;
  std::string_view payload;
};
void put_header(char (&out)[kHeaderSize], FrameType type, Stream stream, std::uint16_t request);
std::string make_frame(FrameType type, std::string_view payload = {}, Stream stream = Stream::kNone,
                       std::uint16_t request = 0);
// Errc::kCorrupt: too short, too long, unknown type or stream.
Result<FrameView> parse_frame(std::string_view packet);

struct Hello {
  int version = kVersion;
  std::string uuid;
  std::vector<std::string> apps;
};
std::string print(const Hello& hello);
Result<Hello> parse_hello(std::string_view text);

// app: empty means the only app of the pod; an error naming the apps when there are several.
struct AttachRequest {
  std::string app;
  bool in = false, out = true, err = true;
  bool hold_back = false;
  std::uint16_t height = 0, width = 0;  // 0: leave the terminal's size alone
};
std::string print(const AttachRequest& request);
Result<AttachRequest> parse_attach(std::string_view text);

// kResize, kWait, kStop and kKill share one body; members that a request does not use are ignored.
struct AppRequest {
  std::string app;                      // kWait, kStop: empty means the pod
  std::uint16_t height = 0, width = 0;  // kResize
  int signal = 0;                       // kKill: 1..64; kStop: 0 is the app's stop signal
  std::int64_t timeout_ms = -1;         // kStop: until SIGKILL; negative: the pod's own
};
std::string print(const AppRequest& request);
Result<AppRequest> parse_app_request(std::string_view text);

struct AppStatus {
  std::string name;
  std::string state;  // created running exited
  pid_t pid = 0;      // 0 unless running
  bool terminal = false;
  std::int64_t started_unix_ms = 0;
  std::uint64_t log_lost_bytes = 0;  // output that the log file could not take (full disk)
  std::optional<ExitRecord> exit;
};
struct PodStatus {
  std::string uuid;
  pid_t monitor_pid = 0, guardian_pid = 0;  // guardian 0: it was killed
  bool stopping = false;
  std::vector<AppStatus> apps;
};
std::string print(const PodStatus& status);
Result<PodStatus> parse_status(std::string_view text);

// Body of kReply: {"ok":true} or {"ok":false,"code":...,"errno":...,"message":...,"hint":...}; kStatus adds "status".
std::string print_reply(const Status& status);
std::string print_reply(const PodStatus& status);
// The error that the reply carries, with code, errno, message and hint as they were.
Status parse_reply(std::string_view text);
Result<PodStatus> parse_status_reply(std::string_view text);

// Body of kPodExit.
std::string print_records(const std::vector<ExitRecord>& records);
Result<std::vector<ExitRecord>> parse_records(std::string_view text);

// Code from its word; Errc::kInternal for a word of a newer version.
Errc errc_from_word(std::string_view word);

}  // namespace cooper::monitor::protocol
