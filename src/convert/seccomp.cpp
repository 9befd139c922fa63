#include "convert/internal/seccomp.h"

#include <algorithm>
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

// The rules of a profile, one by one.
class ReadSyscalls {
 public:
  ReadSyscalls(libcontainer::Generation generation, libcontainer::Seccomp& out, std::vector<Lost>& lost)
      : numeric_(generation == libcontainer::Generation::kNumeric),
        // That generation allows what no rule names, whatever the default was.
        allows_(numeric_ || out.default_action == libcontainer::Action::kAllow),
        out_(out),
        lost_(lost) {}

  void read(const oci::SeccompSyscall& source, const std::string& pointer) {
    const auto action = action_of(source, pointer);
    if (!action) return;
    auto args = libcontainer_args(source.args);
    const bool denies = *action != libcontainer::Action::kAllow;
    if (!args && !(denies && allows_)) {
      lost_.push_back({pointer, "has an operator of a later time"});
      return;
    }
    if (!args) lost_.push_back({pointer + "/args", "have an operator of a later time: denied whatever the arguments"});
    const int errno_value = *action == libcontainer::Action::kErrno ? errno_of(source, pointer) : 0;
    for (const std::string& name : source.names) {
      libcontainer::Syscall& entry = out_.syscalls.emplace_back();
      entry.action = *action;
      entry.errno_value = errno_value;
      if (args) entry.args = *args;
      if (numeric_) {
        entry.number = seccomp::syscall_number(name);
      } else {
        entry.name = name;
      }
      if (numeric_ && !entry.number) {
        lost_.push_back({pointer + "/names", "'" + name + "' has no number on this machine"});
        out_.syscalls.pop_back();
      }
    }
  }

 private:
  // nullopt: the rule is left out. What denied a call denies it still.
  std::optional<libcontainer::Action> action_of(const oci::SeccompSyscall& source, const std::string& pointer) {
    const auto becomes = [&](libcontainer::Action action, const std::string& word) {
      lost_.push_back({pointer + "/action", source.action + " came later and becomes " + word});
      return action;
    };
    const auto known = libcontainer_action(source.action);
    if (known == libcontainer::Action::kTrace && numeric_)
      return becomes(libcontainer::Action::kErrno, "ENOSYS, as it is without a tracer");
    if (known) return known;
    if (source.action == "SCMP_ACT_LOG") return becomes(libcontainer::Action::kAllow, "allow, without a log");
    if (source.action == "SCMP_ACT_KILL_PROCESS") return becomes(libcontainer::Action::kKill, "kill, of one thread");
    if (allows_) return becomes(libcontainer::Action::kErrno, "ENOSYS, as it is without a listener");
    lost_.push_back({pointer, "has the action " + source.action + ", of a later time, and is left to the default one"});
    return std::nullopt;
  }

  static constexpr std::uint32_t kMostErrno = 4095;  // the kernel makes this of larger ones

  int errno_of(const oci::SeccompSyscall& source, const std::string& pointer) {
    if (source.action != "SCMP_ACT_ERRNO") return ENOSYS;
    const auto value = static_cast<int>(std::min<std::uint32_t>(source.errno_ret.value_or(EPERM), kMostErrno));
    if (value == 0) {
      lost_.push_back({pointer + "/errnoRet", "0, a success without the call, becomes EPERM"});
      return EPERM;
    }
    if (!numeric_ && value != EPERM)
      lost_.push_back({pointer + "/errnoRet", "is EPERM to readers that do not know the member", true});
    return value;
  }

  bool numeric_, allows_;
  libcontainer::Seccomp& out_;
  std::vector<Lost>& lost_;
};

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
  ReadSyscalls rules(generation, out, lost);
  for (std::size_t i = 0; i < source.syscalls.size(); ++i)
    rules.read(source.syscalls[i], "/linux/seccomp/syscalls/" + std::to_string(i));
  return out;
}

}  // namespace cooper::convert
