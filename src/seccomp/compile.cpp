// The compiler: profile -> rules per architecture and call number -> decision tree -> BPF.
#include <linux/audit.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <set>

#include "base/strings.h"
#include "seccomp/internal/emitter.h"
#include "seccomp/internal/tables.h"
#include "seccomp/seccomp.h"

namespace cooper::seccomp {
namespace {

constexpr std::uint32_t kMaxErrno = 4095;  // what the kernel keeps of SECCOMP_RET_ERRNO's data
// Bounds on hostile input, far above any real profile.
constexpr std::size_t kMaxRules = 65536;

// `member` is a JSON pointer from the object at hand; below() completes it on the way out.
Error invalid(std::string_view member, std::string_view message) {
  return Error(Errc::kInvalidArgument, std::string(member) + ": " + std::string(message), EINVAL);
}

Error below(std::string_view object, const Error& error) {
  return Error(error.code(), std::string(object) + error.message(), error.errno_value());
}

Error below(std::string_view list, std::size_t index, const Error& error) {
  return below(std::string(list) + "/" + std::to_string(index), error);
}

// The names of an action's members.
struct ActionMembers {
  std::string_view action = "/action", errno_ret = "/errnoRet";
};

Result<std::uint32_t> parse_action(const std::string& name, const std::optional<std::uint32_t>& errno_ret,
                                   const ActionMembers& members) {
  const ActionName* action = find_action(name);
  if (action == nullptr) return invalid(members.action, "unknown action " + quoted(name));
  if (!action->takes_errno) {
    if (errno_ret) return invalid(members.errno_ret, "action " + quoted(name) + " takes none");
    return action->value;
  }
  const std::uint32_t data = errno_ret.value_or(EPERM);
  const std::uint32_t most = action->value == SECCOMP_RET_ERRNO ? kMaxErrno : SECCOMP_RET_DATA;
  if (data > most)
    return invalid(members.errno_ret, std::to_string(data) + " is above " + std::to_string(most) +
                                          ", the most that action " + quoted(name) + " can carry");
  return action->value | data;
}

Result<Condition> parse_condition(const oci::SeccompArg& arg) {
  if (arg.index > 5)
    return invalid("/index", "argument index " + std::to_string(arg.index) + " is not between 0 and 5");
  const OperatorName* op = find_operator(arg.op);
  if (op == nullptr) return invalid("/op", "unknown operator " + quoted(arg.op));
  return Condition{
      .index = static_cast<std::uint8_t>(arg.index), .op = op->op, .value = arg.value, .datum = arg.value_two};
}

bool repeats_an_index(const std::vector<oci::SeccompArg>& args) {
  std::uint32_t seen = 0;
  for (const auto& arg : args) {
    const std::uint32_t bit = 1U << (arg.index & 31);
    if ((seen & bit) != 0) return true;
    seen |= bit;
  }
  return false;
}

// The rules of one entry: its conditions all in one, or one each when an argument is named twice (runtimes before
// argument lists could be combined meant "or" by that, and profiles rely on it).
Result<std::vector<Rule>> parse_rules(const oci::SeccompSyscall& entry) {
  if (entry.names.empty()) return invalid("/names", "must name at least one system call");
  ASSIGN_OR_RETURN(const std::uint32_t action, parse_action(entry.action, entry.errno_ret, {}));
  std::vector<Condition> conditions;
  for (std::size_t i = 0; i < entry.args.size(); ++i) {
    const auto condition = parse_condition(entry.args[i]);
    if (!condition.ok()) return below("/args", i, condition.error());
    conditions.push_back(*condition);
  }
  std::vector<Rule> out;
  if (!repeats_an_index(entry.args)) {
    const bool whole_call = conditions.empty();
    out.push_back({action, std::move(conditions), whole_call});
    return out;
  }
  for (const Condition& condition : conditions) out.push_back({action, {condition}});
  return out;
}

// Rules by call number of one architecture, in profile order. Numbers are small and dense: an array, with lists inside
// one vector.
class Numbered {
 public:
  void add(std::int32_t number, std::uint32_t rule) {
    const std::size_t slot = slot_of(number);
    nodes_.push_back({rule, kNone});
    const auto node = static_cast<std::uint32_t>(nodes_.size() - 1);
    if (first_[slot] == kNone) {
      first_[slot] = node;
    } else {
      nodes_[last_[slot]].next = node;
    }
    last_[slot] = node;
  }
  // The profile names this call.
  void name(std::int32_t number) {
    if (number < kArmPrivate) highest_ = std::max(highest_, number);
  }
  std::int32_t highest() const { return highest_; }

  // f(number, rule indexes) in ascending order, for numbers with rules.
  template <typename F>
  void for_each(F f) const {
    std::vector<std::uint32_t> rules;
    for (std::size_t slot = 0; slot < kSlots; ++slot) {
      if (first_[slot] == kNone) continue;
      rules.clear();
      for (std::uint32_t node = first_[slot]; node != kNone; node = nodes_[node].next)
        rules.push_back(nodes_[node].rule);
      f(number_of(slot), rules);
    }
  }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  static constexpr std::size_t kOrdinary = 1024, kPrivate = 16, kSlots = kOrdinary + kPrivate;
  struct Node {
    std::uint32_t rule, next;
  };
  static std::size_t slot_of(std::int32_t number) {
    const std::size_t slot = number < kArmPrivate ? static_cast<std::size_t>(number)
                                                  : kOrdinary + static_cast<std::size_t>(number - kArmPrivate);
    COOPER_ASSERT(number < kArmPrivate ? slot < kOrdinary : slot < kSlots);
    return slot;
  }
  static std::uint32_t number_of(std::size_t slot) {
    return static_cast<std::uint32_t>(slot < kOrdinary ? slot : slot - kOrdinary + std::size_t{kArmPrivate});
  }
  static constexpr std::array<std::uint32_t, kSlots> none() {
    std::array<std::uint32_t, kSlots> out{};
    out.fill(kNone);
    return out;
  }
  std::array<std::uint32_t, kSlots> first_ = none(), last_{};
  std::vector<Node> nodes_;
  std::int32_t highest_ = -1;
};

Result<const ArchName*> parse_architecture(const std::vector<std::string>& names, std::size_t index) {
  const ArchName* found = find_arch(names[index]);
  if (found == nullptr)
    return below("/architectures", index, invalid("", "unknown architecture " + quoted(names[index])));
  return found;
}

class Compiler {
 public:
  explicit Compiler(Sections sections) : sections_(sections) {}

  Status read(const oci::Seccomp& profile) {
    ASSIGN_OR_RETURN(default_action_, parse_action(profile.default_action, profile.default_errno_ret,
                                                   {"/defaultAction", "/defaultErrnoRet"}));
    if (default_action_ == SECCOMP_RET_USER_NOTIF)
      return invalid("/defaultAction",
                     "SCMP_ACT_NOTIFY cannot be used as default action: the programs that answer could not start");
    RETURN_IF_ERROR(read_architectures(profile.architectures));
    for (std::size_t i = 0; i < profile.syscalls.size(); ++i) {
      if (const Status read = read_entry(profile.syscalls[i]); !read.ok()) return below("/syscalls", i, read.error());
    }
    return read_flags(profile.flags);
  }

  Result<Program> emit() {
    Emitter out;
    out.load(offsetof(struct seccomp_data, arch));
    for (const Arch arch : {native_arch(), Arch::kX64, Arch::kX86, Arch::kX32, Arch::kArm, Arch::kAarch64})
      emit_arch(out, arch);
    out.ret(SECCOMP_RET_KILL_THREAD);  // a machine the profile does not speak about
    if (out.size() > BPF_MAXINSNS) {
      return Error(Errc::kLimit,
                   "seccomp: the profile needs " + std::to_string(out.size()) + " instructions, the kernel takes " +
                       std::to_string(BPF_MAXINSNS),
                   E2BIG);
    }
    program_.instructions = out.take();
    return std::move(program_);
  }

 private:
  Status read_architectures(const std::vector<std::string>& names) {
    enable(native_arch());
    for (std::size_t i = 0; i < names.size(); ++i) {
      ASSIGN_OR_RETURN(const ArchName* found, parse_architecture(names, i));
      if (found->arch && (sections_ == Sections::kAll || runs_here(*found->arch))) enable(*found->arch);
    }
    return {};
  }

  Status read_flags(const std::vector<std::string>& names) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      const std::string& name = names[i];
      const FlagName* flag = find_flag(name);
      if (flag == nullptr) return below("/flags", i, invalid("", "unknown flag " + quoted(name)));
      // The filter is loaded by a process with one thread, which has nobody to synchronise with.
      if (flag->value == SECCOMP_FILTER_FLAG_TSYNC) continue;
      // The kernel refuses it without a listener.
      if (name == "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" && !program_.needs_listener) continue;
      program_.flags |= flag->value;
    }
    if (program_.needs_listener) program_.flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
    return {};
  }

  Status read_entry(const oci::SeccompSyscall& entry) {
    ASSIGN_OR_RETURN(auto rules, parse_rules(entry));
    if (rules_.size() + rules.size() > kMaxRules)
      return Error(Errc::kLimit, ": more than " + std::to_string(kMaxRules) + " rules", E2BIG);
    const bool notify = rules.front().action == SECCOMP_RET_USER_NOTIF;
    const std::size_t begin = rules_.size();
    for (Rule& rule : rules) rules_.push_back(std::move(rule));
    const std::size_t end = rules_.size();
    for (const std::string& name : entry.names) {
      const auto found = find_syscall(name);
      if (!found) continue;  // of another kernel or machine: ignored, as every runtime does
      if (notify && name == "write")
        return invalid("/action", "SCMP_ACT_NOTIFY cannot be used for the write syscall: agents write, too");
      program_.needs_listener = program_.needs_listener || notify;
      for (std::size_t rule = begin; rule < end; ++rule) add(*found, static_cast<std::uint32_t>(rule));
    }
    return {};
  }

  void add(const SyscallEntry& entry, std::uint32_t rule) {
    for (std::size_t i = 0; i < kArchCount; ++i) {
      if (!enabled_[i] || entry.numbers[i] < 0) continue;
      numbered(i).add(entry.numbers[i], rule);
      numbered(i).name(entry.numbers[i]);
    }
    if (entry.multiplexed != nullptr && is_enabled(Arch::kX86)) add_multiplexed(*entry.multiplexed, rule);
  }

  // The call's own arguments sit behind a pointer there, out of a filter's sight: like libseccomp, the first condition
  // becomes the selector and the others stay. A rule that refuses by arguments then refuses more, never less.
  void add_multiplexed(const Multiplexed& call, std::uint32_t rule) {
    const auto through = find_syscall(call.through);
    std::vector<Condition> conditions{{.index = 0, .op = Op::kEqual, .value = call.selector}};
    for (const Condition& condition : rules_[rule].conditions) {
      if (condition.index != 0) conditions.push_back(condition);
    }
    rules_.push_back({rules_[rule].action, std::move(conditions), rules_[rule].whole_call});
    numbered(static_cast<std::size_t>(Arch::kX86))
        .add(through->numbers[static_cast<std::size_t>(Arch::kX86)], static_cast<std::uint32_t>(rules_.size() - 1));
  }

  // A rule that says what happens anyway is none: it would hide those that follow (runc and crun leave it out). One for
  // a call whatever its arguments are is the only one of that call (libseccomp's rule, which profiles are written for);
  // the first of several. The others of a call decide in profile order. Returns what happens when none holds.
  std::uint32_t choose(const std::vector<std::uint32_t>& indexes, std::vector<const Rule*>& rules) const {
    std::set<std::uint64_t> whole;  // calls behind socketcall and ipc
    for (const std::uint32_t index : indexes) {
      const Rule& rule = rules_[index];
      if (rule.action == default_action_) continue;
      if (rule.conditions.empty()) {
        rules.clear();
        return rule.action;
      }
      if (rule.whole_call) whole.insert(rule.conditions.front().value);
      rules.push_back(&rule);
    }
    if (whole.empty()) return default_action_;
    std::erase_if(rules, [&](const Rule* rule) {
      const Condition& selector = rule->conditions.front();
      return !rule->whole_call && selector.index == 0 && selector.op == Op::kEqual && whole.contains(selector.value);
    });
    return default_action_;
  }

  // Leaves of one architecture, whose numbers begin at `base`.
  void add_leaves(std::vector<Leaf>& leaves, Arch arch, std::uint32_t base) const {
    const Numbered& table = *numbered_[static_cast<std::size_t>(arch)];
    const bool wide = compares_64_bits(arch);
    const auto append = [&](std::uint32_t number, std::uint32_t action, std::vector<const Rule*> rules) {
      const bool mergeable =
          rules.empty() && !leaves.empty() && leaves.back().rules.empty() && leaves.back().action == action;
      if (!mergeable) leaves.push_back({base + number, action, wide, std::move(rules)});
    };
    // Numbers above all the profile names were made after it was written: programs expect ENOSYS and have another way.
    const std::uint32_t newer =
        answers_enosys() && table.highest() >= 0 ? static_cast<std::uint32_t>(table.highest()) + 1 : UINT32_MAX;
    std::uint32_t next = 0;
    const auto unnamed_until = [&](std::uint32_t number) {
      if (next < std::min(number, newer)) append(next, default_action_, {});
      if (std::max(next, newer) < number) append(std::max(next, newer), SECCOMP_RET_ERRNO | ENOSYS, {});
    };
    table.for_each([&](std::uint32_t number, const std::vector<std::uint32_t>& indexes) {
      unnamed_until(number);
      next = number + 1;
      std::vector<const Rule*> rules;
      const std::uint32_t action = choose(indexes, rules);
      append(number, action, std::move(rules));
    });
    unnamed_until(UINT32_MAX);
  }

  // Unless the default lets calls through, or leaves them to a tracer (runc's rule).
  bool answers_enosys() const {
    const std::uint32_t action = default_action_ & SECCOMP_RET_ACTION_FULL;
    return action != SECCOMP_RET_ALLOW && action != SECCOMP_RET_LOG && action != SECCOMP_RET_TRACE;
  }

  void emit_arch(Emitter& out, Arch arch) {
    if (arch == Arch::kX32) arch = Arch::kX64;  // one machine for the kernel; the call number tells them apart
    const bool x86_64 = arch == Arch::kX64;
    const std::size_t index = static_cast<std::size_t>(arch);
    if (emitted_[index] || !(is_enabled(arch) || (x86_64 && is_enabled(Arch::kX32)))) return;
    emitted_[index] = true;
    std::vector<Leaf> leaves;
    leaves.reserve(256);
    if (is_enabled(arch)) {
      add_leaves(leaves, arch, 0);
    } else {
      leaves.push_back({0, SECCOMP_RET_KILL_THREAD, false, {}});
    }
    if (x86_64 && is_enabled(Arch::kX32)) {
      add_leaves(leaves, Arch::kX32, kX32Bit);
    } else if (x86_64) {
      leaves.push_back({kX32Bit, SECCOMP_RET_KILL_THREAD, false, {}});
    }
    // A tracer skips a call by making its number -1, and the filter sees that too.
    leaves.push_back({UINT32_MAX, default_action_, false, {}});
    out.only_if_equal(audit_arch(arch), [&] {
      out.load(offsetof(struct seccomp_data, nr));
      out.tree(leaves);
    });
  }

  void enable(Arch arch) {
    const std::size_t index = static_cast<std::size_t>(arch);
    enabled_[index] = true;
    if (numbered_[index] == nullptr) numbered_[index] = std::make_unique<Numbered>();
  }
  bool is_enabled(Arch arch) const { return enabled_[static_cast<std::size_t>(arch)]; }
  Numbered& numbered(std::size_t index) { return *numbered_[index]; }

  Sections sections_;
  std::uint32_t default_action_ = 0;
  std::array<bool, kArchCount> enabled_{}, emitted_{};
  std::array<std::unique_ptr<Numbered>, kArchCount> numbered_;
  std::vector<Rule> rules_;
  Program program_;
};

}  // namespace

Result<std::vector<std::string>> architectures_elsewhere(const oci::Seccomp& profile) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < profile.architectures.size(); ++i) {
    const auto found = parse_architecture(profile.architectures, i);
    if (!found.ok()) return below("/linux/seccomp", found.error());
    if (!(*found)->arch || !runs_here(*(*found)->arch)) out.push_back(profile.architectures[i]);
  }
  return out;
}

Result<Program> compile(const oci::Seccomp& profile, Sections sections) {
  Compiler compiler(sections);
  if (const Status read = compiler.read(profile); !read.ok()) return below("/linux/seccomp", read.error());
  return compiler.emit();
}

}  // namespace cooper::seccomp
