#include "container/seccomp_agent.h"

#include <sys/socket.h>

#include <array>

#include "base/strings.h"
#include "codec/json.h"
#include "spec/oci_runtime/print.h"
#include "sys/socket.h"

namespace cooper::container {

std::string print_process_state(const oci::Seccomp& profile, const oci::State& state, pid_t pid) {
  codec::json::Writer out;
  out.begin_object().field("ociVersion", state.oci_version);
  out.field("fds", std::vector<std::string>{"seccompFd"});
  out.field("pid", std::int64_t{pid});
  if (!profile.listener_metadata.empty()) out.field("metadata", profile.listener_metadata);
  out.key("state");
  oci::write_state(out, state);
  return out.end_object().take();
}

Status send_listener(const oci::Seccomp& profile, const oci::State& state, pid_t pid, BorrowedFd listener) {
  const auto failed = [&](Error error) {
    return std::move(error)
        .with("seccomp listener " + quoted(profile.listener_path))
        .with_hint("an agent must be listening on the socket before the container starts");
  };
  auto socket = sys::unix_connect(profile.listener_path, SOCK_STREAM);
  if (!socket.ok()) return failed(std::move(socket).error());
  const std::array<int, 1> fds{listener.get()};
  Status sent = sys::send_message(*socket, print_process_state(profile, state, pid), fds);
  if (!sent.ok()) return failed(std::move(sent).error());
  return {};
}

}  // namespace cooper::container
