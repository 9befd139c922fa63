#include "container/sync.h"

#include <cstring>

#include "base/strings.h"
#include "container/exec_lastmile.h"
#include "sys/socket.h"

namespace cooper::container {
namespace {

// The last mile does several steps of the plan in one go.
std::string_view step_of(LastMileStage stage) {
  switch (stage) {
    case LastMileStage::kRlimits:
      return "set-rlimits";
    case LastMileStage::kLabels:
      return "set-labels";
    case LastMileStage::kSeccomp:
      return "load-seccomp";
    case LastMileStage::kCwd:
    case LastMileStage::kCwdOutside:
    case LastMileStage::kCloseFds:
    case LastMileStage::kExec:
      return "exec";
    default:
      return "set-credentials";
  }
}

// What is written for AppArmor begins with the word of the command, a label of SELinux does not.
Error label_error(std::string_view label, int errno_value) {
  constexpr std::string_view kOnExec = "exec ";
  if (!label.starts_with(kOnExec)) return Error::from_errno(errno_value, "apply SELinux label " + quoted(label));
  const std::string what = "apply AppArmor profile " + quoted(label.substr(kOnExec.size()));
  if (errno_value != ENOENT) return Error::from_errno(errno_value, what);
  return Error(Errc::kNotFound, what + ": no such profile is loaded", errno_value)
      .with_hint("load it with apparmor_parser, or leave apparmorProfile out of the configuration");
}

// The subject says which limit, and what was wanted.
Error rlimit_error(std::string_view subject, int errno_value) {
  Error error = Error::from_errno(errno_value, "set " + std::string(subject));
  if (errno_value != EPERM) return error;
  return std::move(error).with_hint(
      "lower the limit in the configuration; none of RLIMIT_NOFILE is above the sysctl fs.nr_open, and a user "
      "namespace "
      "raises no hard limit");
}

Error lastmile_error(std::string_view data) {
  LastMileFailure failure = {};
  if (data.size() < sizeof failure) return Error(Errc::kInternal, "short failure message from the container's init");
  std::memcpy(&failure, data.data(), sizeof failure);
  const auto stage = static_cast<LastMileStage>(failure.stage);
  const std::string_view subject = data.substr(sizeof failure);
  if (stage == LastMileStage::kLabels) return label_error(subject, failure.errno_value).with_step(step_of(stage));
  if (stage == LastMileStage::kRlimits && !subject.empty())
    return rlimit_error(subject, failure.errno_value).with_step(step_of(stage));
  std::string what = describe(stage);
  if (!subject.empty()) what += " " + quoted(subject);
  Error error = Error::from_errno(failure.errno_value, what).with_step(step_of(stage));
  const bool ids = stage == LastMileStage::kUid || stage == LastMileStage::kGid || stage == LastMileStage::kGroups;
  if (ids && failure.errno_value == EINVAL)
    return std::move(error).with_hint("the id is not among those that the container's user namespace maps");
  if (stage == LastMileStage::kExec && failure.errno_value == ENOENT) {
    return std::move(error).with_hint(
        "the file exists: the interpreter of the script or the dynamic loader of the program is missing");
  }
  if (stage == LastMileStage::kExec && failure.errno_value == ENOEXEC) {
    return std::move(error).with_hint("the file is not a program for this machine, or a script without '#!'");
  }
  return error;
}

}  // namespace

Status send_message(BorrowedFd socket, MessageType type, std::string_view text, int fd) {
  std::string packet(1, static_cast<char>(type));
  packet += text;
  if (fd < 0) return sys::send_message(socket, packet);
  const int fds[] = {fd};
  return sys::send_message(socket, packet, fds);
}

Status send_failure(BorrowedFd socket, const Error& error) {
  std::string packet(1, static_cast<char>(MessageType::kFailure));
  packet += static_cast<char>(error.code());
  const std::int32_t e = error.errno_value();
  packet.append(reinterpret_cast<const char*>(&e), sizeof e);
  packet += error.message();
  packet += '\0';
  packet += error.hint();
  packet += '\0';
  packet += error.step();
  if (packet.size() > kMaxMessage) packet.resize(kMaxMessage);
  return sys::send_message(socket, packet);
}

Result<SyncMessage> receive_message(BorrowedFd socket) {
  ASSIGN_OR_RETURN(sys::Message received, sys::recv_message(socket, kMaxMessage));
  SyncMessage out;
  if (received.eof) {
    out.eof = true;
    return out;
  }
  const std::string& data = received.data;
  if (data.empty()) return Error(Errc::kInternal, "empty message from the container's init");
  if (static_cast<unsigned char>(data[0]) == 0xff) return lastmile_error(data);
  out.type = static_cast<MessageType>(data[0]);
  if (out.type == MessageType::kFailure) {
    if (data.size() < 6) return Error(Errc::kInternal, "short failure message from the container's init");
    std::int32_t e = 0;
    std::memcpy(&e, data.data() + 2, sizeof e);
    const std::string_view rest = std::string_view(data).substr(6);
    const auto parts = split(rest, '\0');
    Error error(static_cast<Errc>(data[1]), std::string(parts[0]), e);
    if (parts.size() > 2) error = std::move(error).with_step(parts[2]);
    if (parts.size() > 1 && !parts[1].empty()) return std::move(error).with_hint(std::string(parts[1]));
    return error;
  }
  out.text = data.substr(1);
  if (!received.fds.empty()) out.fd = std::move(received.fds.front());
  return out;
}

}  // namespace cooper::container
