#include "network/support_files.h"

#include <sys/utsname.h>

#include "base/chars.h"
#include "base/strings.h"
#include "io/file.h"
#include "sys/file.h"

namespace cooper::network {
namespace {

constexpr std::size_t kMaxHostFile = std::size_t{1} << 20;

constexpr std::string_view kLoopback =
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n";

bool has_name(std::string_view hosts, std::string_view name) {
  for (std::string_view line : split(hosts, '\n')) {
    line = line.substr(0, line.find('#'));
    std::size_t at = 0;
    bool first = true;
    while ((at = line.find_first_not_of(" \t\r", at)) != std::string_view::npos) {
      const std::size_t end = std::min(line.find_first_of(" \t\r", at), line.size());
      if (!first && line.substr(at, end - at) == name) return true;
      first = false;
      at = end;
    }
  }
  return false;
}

Result<std::string> read_host_file(const char* path) {
  auto text = io::read_file(path, kMaxHostFile);
  if (!text.ok() && text.error().code() == Errc::kNotFound) return std::string();
  return text;
}

Status write_new(BorrowedFd dir, const char* name, std::string_view text) {
  ASSIGN_OR_RETURN(const UniqueFd fd, sys::openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644));
  if (text.empty()) return {};
  Status written = sys::write_all(fd, text);
  if (!written.ok()) return std::move(written).error().with("write " + quoted(name));
  return {};
}

}  // namespace

std::string hosts_text(Mode mode, std::string_view hostname, std::string_view host_file) {
  std::string out;
  if (mode == Mode::kHost) {
    out = host_file;
    if (!out.empty() && out.back() != '\n') out += '\n';
    if (!has_name(out, "localhost")) out.insert(0, kLoopback);
  } else {
    out = kLoopback;
  }
  if (!hostname.empty() && !has_name(out, hostname)) out.append("127.0.0.1\t").append(hostname).append("\n");
  return out;
}

Status write_support_files(BorrowedFd dir, Mode mode, std::string_view hostname) {
  std::string hosts, resolv;
  if (mode == Mode::kHost) {
    ASSIGN_OR_RETURN(hosts, read_host_file("/etc/hosts"));
    ASSIGN_OR_RETURN(resolv, read_host_file("/etc/resolv.conf"));
  }
  RETURN_IF_ERROR(write_new(dir, kHostsFile, hosts_text(mode, hostname, hosts)));
  RETURN_IF_ERROR(write_new(dir, kHostnameFile, std::string(hostname) + "\n"));
  return write_new(dir, kResolvFile, resolv);
}

Result<std::string> host_name() {
  struct utsname names = {};
  if (::uname(&names) != 0) return Error::from_errno(errno, "read the host name");
  return std::string(names.nodename);
}

Status check_hostname(std::string_view name) {
  const auto bad = [&](const char* why) {
    return Error(Errc::kInvalidArgument, "hostname " + quoted(name) + " " + why);
  };
  if (name.empty() || name.size() > 64) return bad("must have 1 to 64 bytes");
  for (const std::string_view label : split(name, '.')) {
    if (label.empty()) return bad("has an empty label");
    if (label.front() == '-' || label.back() == '-') return bad("has a label that starts or ends with '-'");
    for (const char c : label) {
      if (!is_alnum(c) && c != '-' && c != '_') return bad("may only have letters, digits, '-', '_' and '.'");
    }
  }
  return {};
}

}  // namespace cooper::network
