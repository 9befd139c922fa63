#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "seccomp/internal/tables.h"
#include "seccomp/seccomp.h"

namespace cooper::seccomp {

// SECCOMP_GET_ACTION_AVAIL, kernel 4.14; older ones know what 3.17 had.
std::vector<std::string> supported_actions() {
  std::vector<std::string> out;
  for (const ActionName& action : action_names()) {
    std::uint32_t value = action.value;
    const long known = ::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &value);
    if (known == 0 ||
        (errno == EINVAL && (value == SECCOMP_RET_KILL_THREAD || value == SECCOMP_RET_TRAP ||
                             value == SECCOMP_RET_ERRNO || value == SECCOMP_RET_TRACE || value == SECCOMP_RET_ALLOW))) {
      out.emplace_back(action.name);
    }
  }
  return out;
}

std::vector<std::string> supported_operators() {
  std::vector<std::string> out;
  for (const OperatorName& op : operator_names()) out.emplace_back(op.name);
  return out;
}

std::vector<std::string> supported_architectures() {
  std::vector<std::string> out;
  for (const ArchName& arch : arch_names()) {
    if (arch.arch && runs_here(*arch.arch)) out.emplace_back(arch.name);
  }
  return out;
}

std::vector<std::string> known_flags() {
  std::vector<std::string> out;
  for (const FlagName& flag : flag_names()) out.emplace_back(flag.name);
  return out;
}

// Asked of the kernel: with a null program a known flag gets as far as EFAULT, an unknown one is EINVAL.
std::vector<std::string> supported_flags() {
  std::vector<std::string> out;
  for (const FlagName& flag : flag_names()) {
    std::uint32_t value = flag.value;
    // Allowed only together with a listener.
    if (flag.name == "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV") value |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
    if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, value, nullptr) < 0 && errno == EFAULT)
      out.emplace_back(flag.name);
  }
  return out;
}

std::string_view syscall_name(std::uint32_t number) {
  const auto arch = static_cast<std::size_t>(native_arch());
  for (std::size_t i = 0; i < syscall_count(); ++i) {
    const std::int32_t here = syscall_rows()[i].numbers[arch];
    if (here >= 0 && static_cast<std::uint32_t>(here) == number) return syscall_rows()[i].name;
  }
  return {};
}

std::optional<std::uint32_t> syscall_number(std::string_view name) {
  const auto found = find_syscall(name);
  const std::int32_t number = found ? found->numbers[static_cast<std::size_t>(native_arch())] : -1;
  if (number < 0) return std::nullopt;
  return static_cast<std::uint32_t>(number);
}

}  // namespace cooper::seccomp
