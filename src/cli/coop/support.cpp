#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strings.h"
#include "cli/coop/commands.h"
#include "cli/coop/supervise.h"
#include "io/file.h"
#include "spec/oci_runtime/id_maps.h"
#include "sys/file.h"

namespace cooper::cli::coop {
namespace {

// Also what /dev/stdin and a shell's <(...) lead to. A fifo that nobody has open for writing is empty, not waited for.
Result<std::string> read_stream(const std::string& path, std::size_t max_bytes) {
  ASSIGN_OR_RETURN(const UniqueFd fd, sys::openat(sys::kCwd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  RETURN_IF_ERROR(sys::fcntl_setfl(fd, O_RDONLY));
  auto text = io::read_all(fd, max_bytes);
  if (!text.ok()) return std::move(text).error().with("read " + quoted(path));
  return text;
}

}  // namespace

void give_pipes_to(const oci::Process& process, const oci::Config& container) {
  if (process.terminal) return;
  const std::uint32_t uid = oci::host_uid(container, process.user.uid);
  for (int fd = 0; fd <= 2; ++fd) {
    struct stat info = {};
    if (::fstat(fd, &info) != 0 || !S_ISFIFO(info.st_mode) || info.st_uid == uid) continue;
    // Not ours to give (EPERM): the process can still use the open stream.
    (void)!sys::fchown(BorrowedFd(fd), uid, static_cast<gid_t>(-1)).ok();
  }
}

Status print(std::string_view text) {
  Status written = sys::write_all(BorrowedFd(STDOUT_FILENO), text);
  if (!written.ok()) return std::move(written).error().with("standard output");
  return {};
}

Result<int> preserved_fds(const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto given, arguments.number<std::uint16_t>("preserve-fds"));
  const int count = given.value_or(0);
  for (int fd = 3; fd < 3 + count; ++fd) {
    const int flags = ::fcntl(fd, F_GETFD);
    if (flags >= 0 && (flags & FD_CLOEXEC) == 0) continue;
    return Error(Errc::kInvalidArgument,
                 "--preserve-fds " + std::to_string(count) + ": file descriptor " + std::to_string(fd) + " is not open")
        .with_hint("the descriptors from 3 on are passed; open them in the caller, without close-on-exec");
  }
  return count;
}

Result<std::string> absolute_path(const std::string& path) {
  if (path.empty() || path[0] == '/') return path;
  char buffer[4096];
  if (::getcwd(buffer, sizeof buffer) == nullptr) return Error::from_errno(errno, "find the current directory");
  std::string out(buffer);
  // Lexical, as callers compare the result with what they gave.
  for (const std::string_view part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      out.resize(out.empty() ? 0 : out.find_last_of('/'));
      continue;
    }
    if (!out.ends_with('/')) out += '/';
    out += part;
  }
  return out.empty() ? std::string("/") : out;
}

Result<std::string> read_input(const std::string& path, std::size_t max_bytes, bool allow_streams) {
  if (allow_streams && path == "-") {
    auto text = io::read_all(BorrowedFd(STDIN_FILENO), max_bytes);
    if (!text.ok()) return std::move(text).error().with("standard input");
    return text;
  }
  if (allow_streams) return read_stream(path, max_bytes);
  return io::read_regular_file(path, max_bytes);
}

Status check_console(bool terminal, bool detached, bool has_socket) {
  if (terminal && detached && !has_socket) {
    return Error(Errc::kInvalidArgument, "cannot allocate a terminal for a detached container without a console socket")
        .with_hint("use --console-socket");
  }
  if (has_socket && (!terminal || !detached)) {
    return Error(Errc::kInvalidArgument,
                 "cannot use a console socket without a terminal (process.terminal), or when not detached");
  }
  if (!terminal || detached) return {};
  Status input = check_terminal_input();
  if (input.ok()) return {};
  return std::move(input).error().with_hint(
      "do without a terminal (process.terminal, or exec's --tty), or use --detach with --console-socket");
}

}  // namespace cooper::cli::coop
