#include "convert/internal/seccomp.h"

#include <cerrno>

#include "convert/internal/words.h"
#include "seccomp/seccomp.h"

namespace cooper::convert {
namespace {

std::string place(std::size_t index) {
  return "/seccomp/syscalls/" + std::to_string(index);
}

std::vector<oci::SeccompArg> oci_args(const std::vector<libcontainer::Arg>& args) {
  std::vector<oci::SeccompArg> out;
  for (const auto& arg : args) out.push_back({arg.index, arg.value, arg.value_two, std::string(oci_operator(arg.op))});
  return out;
}

// nullopt: an operator of another time.
std::optional<std::vector<libcontainer::Arg>> libcontainer_args(const std::vector<oci::SeccompArg>& args) {
  std::vector<libcontainer::Arg> out;
  for (const auto& arg : args) {
    const auto op = libcontainer_operator(arg.op);
    if (!op) return std::nullopt;
    out.push_back({arg.index, arg.value, arg.value_two, *op});
  }
  return out;
}

void read_syscall(const oci::SeccompSyscall& source, const std::string& pointer, libcontainer::Generation generation,
                  libcontainer::Seccomp& out, std::vector<Lost>& lost) {
  const auto action = libcontainer_action(source.action);
  const auto args = libcontainer_args(source.args);
  if (!action || !args) {
    lost.push_back({pointer, action ? "has an operator of a later time"
                                    : "has the action " + source.action + ", of a later time"});
    return;
  }
  const bool numeric = generation == libcontainer::Generation::kNumeric;
  if (source.errno_ret && !numeric && *source.errno_ret != EPERM)
    lost.push_back({pointer + "/errnoRet", "becomes EPERM"});
  for (const std::string& name : source.names) {
    libcontainer::Syscall& entry = out.syscalls.emplace_back();
    entry.action = *action;
    entry.args = *args;
    if (numeric) {
      entry.errno_value = static_cast<int>(source.errno_ret.value_or(EPERM));
      entry.number = seccomp::syscall_number(name);
      if (!entry.number) {
        lost.push_back({pointer + "/names", "'" + name + "' has no number on this machine"});
        out.syscalls.pop_back();
      }
    } else {
      entry.name = name;
    }
  }
}

}  // namespace

oci::Seccomp oci_seccomp(const libcontainer::Seccomp& source, std::vector<Lost>& lost) {
  oci::Seccomp out;
  out.default_action = oci_action(source.default_action);
  for (const std::string& name : source.architectures) out.architectures.emplace_back(oci_architecture(name));
  for (std::size_t i = 0; i < source.syscalls.size(); ++i) {
    const libcontainer::Syscall& syscall = source.syscalls[i];
    oci::SeccompSyscall entry;
    entry.action = oci_action(syscall.action);
    if (syscall.action == libcontainer::Action::kErrno && syscall.errno_value > EPERM)
      entry.errno_ret = static_cast<std::uint32_t>(syscall.errno_value);
    entry.args = oci_args(syscall.args);
    const std::string_view name = syscall.number ? seccomp::syscall_name(*syscall.number) : syscall.name;
    if (name.empty()) {
      lost.push_back({place(i), "no system call of this machine has the number " + std::to_string(*syscall.number)});
      continue;
    }
    entry.names.emplace_back(name);
    out.syscalls.push_back(std::move(entry));
  }
  return out;
}

libcontainer::Seccomp libcontainer_seccomp(const oci::Seccomp& source, libcontainer::Generation generation,
                                           std::vector<Lost>& lost) {
  libcontainer::Seccomp out;
  if (const auto action = libcontainer_action(source.default_action)) {
    out.default_action = *action;
  } else {
    // Killing is at least as strict as whatever it was.
    out.default_action = libcontainer::Action::kKill;
    lost.push_back({"/linux/seccomp/defaultAction", source.default_action + " came later and becomes kill"});
  }
  if (source.default_errno_ret && *source.default_errno_ret != EPERM)
    lost.push_back({"/linux/seccomp/defaultErrnoRet", "becomes EPERM"});
  for (const std::string& name : source.architectures) {
    const std::string_view word = libcontainer_architecture(name);
    if (word.empty()) {
      lost.push_back({"/linux/seccomp/architectures", name + " is not known"});
    } else {
      out.architectures.emplace_back(word);
    }
  }
  if (!source.flags.empty()) lost.push_back({"/linux/seccomp/flags", "there are no flags"});
  if (!source.listener_path.empty()) lost.push_back({"/linux/seccomp/listenerPath", "there are no listeners"});
  for (std::size_t i = 0; i < source.syscalls.size(); ++i)
    read_syscall(source.syscalls[i], "/linux/seccomp/syscalls/" + std::to_string(i), generation, out, lost);
  return out;
}

}  // namespace cooper::convert
