#include "userns/enter.h"

#include <sched.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>
#include <utility>

#include "base/strings.h"
#include "io/file.h"
#include "spec/oci_runtime/id_maps.h"
#include "sys/file.h"
#include "sys/process.h"
#include "userns/maps.h"

namespace cooper::userns {
namespace {

namespace oci = spec::oci_runtime;

constexpr std::size_t kMaxMapFile = 16384;
constexpr std::size_t kMaxWords = 8192;  // of an error, through a pipe
constexpr char kHintMark = '\0';

Error explain_refusal(Error error) {
  switch (error.errno_value()) {
    case EPERM:
      return std::move(error).with_hint(
          "a user without privileges needs user namespaces: sysctl kernel.unprivileged_userns_clone=1, and where there "
          "is AppArmor, kernel.apparmor_restrict_unprivileged_userns=0; containers allow them by their seccomp "
          "profile");
    case ENOSPC:
    case EUSERS:
      return std::move(error).with_hint(
          "a user without privileges needs user namespaces: sysctl user.max_user_namespaces says how many there may "
          "be");
    case EINVAL:
    case ENOSYS:
      return std::move(error).with_hint("this kernel was built without user namespaces (CONFIG_USER_NS)");
    default:
      return error;
  }
}

Status make_namespace() {
  Status made = sys::unshare(CLONE_NEWUSER);
  if (made.ok()) return made;
  return explain_refusal(Error::from_errno(made.error().errno_value(), "make a user namespace"));
}

// The process itself may write a map of its own id. user_namespaces(7): only after giving up setgroups.
Status map_own_ids(const Maps& maps) {
  RETURN_IF_ERROR(io::write_existing(sys::kCwd, "/proc/self/setgroups", "deny"));
  RETURN_IF_ERROR(io::write_existing(sys::kCwd, "/proc/self/uid_map", oci::id_map_text(maps.uids)));
  return io::write_existing(sys::kCwd, "/proc/self/gid_map", oci::id_map_text(maps.gids));
}

bool is_single(const Maps& maps) {
  return maps.uids.size() == 1 && maps.gids.size() == 1;
}

// Stays outside, where newuidmap(1) and newgidmap(1) have their privileges.
[[noreturn]] void write_maps_and_exit(const Maps& maps, pid_t pid, const UniqueFd& begin, const UniqueFd& answer) {
  std::array<char, 1> word{};
  const auto got = sys::read(begin, word);
  if (!got.ok() || *got == 0) ::_exit(1);
  const Status written = write_id_maps(pid, maps.uids, maps.gids);
  if (written.ok()) ::_exit(0);
  const std::string text = written.error().message() + kHintMark + written.error().hint();
  (void)!sys::write_all(answer, std::string_view(text).substr(0, kMaxWords)).ok();
  ::_exit(1);
}

Status enter_with_help(const Maps& maps) {
  ASSIGN_OR_RETURN(sys::Pipe begin, sys::pipe2());
  ASSIGN_OR_RETURN(sys::Pipe answer, sys::pipe2());
  const pid_t self = ::getpid();
  ASSIGN_OR_RETURN(const sys::Cloned helper, sys::clone3(0));
  if (helper.pid == 0) {
    begin.write.reset();
    answer.read.reset();
    write_maps_and_exit(maps, self, begin.read, answer.write);
  }
  begin.read.reset();
  answer.write.reset();
  Status made = make_namespace();
  if (made.ok()) made = sys::write_all(begin.write, "b");
  begin.write.reset();
  const std::string words = io::read_all(answer.read, kMaxWords).value_or("");
  ASSIGN_OR_RETURN(const sys::ExitStatus status, sys::waitpid(helper.pid));
  RETURN_IF_ERROR(std::move(made));
  if (status.shell_code() == 0) return {};
  if (words.empty())
    return Error(Errc::kSystem, "the process that maps ids ended with status " + std::to_string(status.shell_code()));
  const std::size_t mark = words.find(kHintMark);
  return Error(Errc::kPermission, words.substr(0, mark), EPERM)
      .with_hint(mark == std::string::npos ? std::string() : words.substr(mark + 1));
}

bool look_up_inside() {
  const auto text = io::read_file("/proc/self/uid_map", kMaxMapFile);
  // Kernels without user namespaces have no such file.
  if (!text.ok()) return false;
  const auto maps = oci::parse_id_map(*text);
  return maps.size() != 1 || maps.front().size != UINT32_MAX;
}

std::optional<bool>& known_inside() {
  static std::optional<bool> known;
  return known;
}

}  // namespace

Status enter() {
  const Maps maps = own_maps(::geteuid(), ::getegid());
  Status entered;
  if (is_single(maps)) {
    entered = make_namespace();
    if (entered.ok()) entered = map_own_ids(maps);
    if (!entered.ok() && entered.error().hint().empty())
      entered = explain_refusal(std::move(entered).error().with("map the ids of a user namespace"));
  } else {
    entered = enter_with_help(maps);
  }
  RETURN_IF_ERROR(std::move(entered));
  known_inside() = true;
  return {};
}

bool is_inside() {
  std::optional<bool>& known = known_inside();
  if (!known) known = look_up_inside();
  return *known;
}

}  // namespace cooper::userns
