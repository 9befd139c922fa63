#include <array>

#include "spec/libcontainer/internal/read.h"

namespace cooper::spec::libcontainer::internal {
namespace {

constexpr int kMostErrno = 4095;  // of a filter
constexpr int kActions = static_cast<int>(Action::kTrace);
constexpr int kOperators = static_cast<int>(Operator::kMaskEqualTo);

Status read_action(const Cursor& object, std::string_view name, Action& out) {
  const auto member = object.get(name);
  if (!member) return {};
  ASSIGN_OR_RETURN(const auto number, member->integer<int>());
  if (number < 1 || number > kActions) return member->error("must be an action between 1 (kill) and 5 (trace)");
  out = static_cast<Action>(number);
  return {};
}

Status read_arg(const Cursor& object, Arg& out, Notes& notes) {
  note_unknown(object, {"index", "value", "value_two", "op"}, notes);
  RETURN_IF_ERROR(object.read("index", out.index));
  RETURN_IF_ERROR(object.read("value", out.value));
  RETURN_IF_ERROR(object.read("value_two", out.value_two));
  ASSIGN_OR_RETURN(const Cursor op, object.require("op"));
  ASSIGN_OR_RETURN(const auto number, op.integer<int>());
  if (number < 1 || number > kOperators) return op.error("must be an operator between 1 (equal) and 7 (masked equal)");
  out.op = static_cast<Operator>(number);
  return {};
}

// Operators of the numeric generation, 0 to 4. Its masked comparison had one value: all its bits must be set.
Status read_numeric_arg(const Cursor& object, Arg& out, Notes& notes) {
  note_unknown(object, {"index", "value", "op"}, notes);
  constexpr std::array kByNumber{Operator::kEqualTo, Operator::kNotEqualTo, Operator::kGreaterThan, Operator::kLessThan,
                                 Operator::kMaskEqualTo};
  std::uint32_t value = 0;
  RETURN_IF_ERROR(object.read("index", out.index));
  RETURN_IF_ERROR(object.read("value", value));
  std::uint32_t op = 0;
  RETURN_IF_ERROR(object.read("op", op));
  if (op >= kByNumber.size()) return object.get("op")->error("must be an operator between 0 and 4");
  out.op = kByNumber[op];
  out.value = value;
  if (out.op == Operator::kMaskEqualTo) out.value_two = value;
  return {};
}

// -3 kill, -2 trap, -1 allow, else the errno.
Status read_numeric_syscall(const Cursor& object, Syscall& out, Notes& notes) {
  note_unknown(object, {"value", "action", "args"}, notes);
  ASSIGN_OR_RETURN(const Cursor value, object.require("value"));
  ASSIGN_OR_RETURN(out.number, value.integer<std::uint32_t>());
  ASSIGN_OR_RETURN(const Cursor action, object.require("action"));
  ASSIGN_OR_RETURN(const auto number, action.integer<int>());
  if (number < -3 || number == 0 || number > kMostErrno)
    return action.error("must be -3 (kill), -2 (trap), -1 (allow) or an errno");
  if (number > 0) {
    out.action = Action::kErrno;
    out.errno_value = number;
  } else {
    out.action = number == -3 ? Action::kKill : number == -2 ? Action::kTrap : Action::kAllow;
  }
  return read_list(object, "args", out.args, notes, read_numeric_arg);
}

Status read_syscall(const Cursor& object, Syscall& out, Notes& notes) {
  if (object.get("value") && !object.get("name")) {
    notes.numeric = true;
    return read_numeric_syscall(object, out, notes);
  }
  notes.named = true;
  note_unknown(object, {"name", "action", "args", "errnoRet"}, notes);
  ASSIGN_OR_RETURN(const Cursor name, object.require("name"));
  ASSIGN_OR_RETURN(out.name, name.string());
  ASSIGN_OR_RETURN([[maybe_unused]] const Cursor action, object.require("action"));
  RETURN_IF_ERROR(read_action(object, "action", out.action));
  if (const auto errno_value = object.get("errnoRet")) {
    ASSIGN_OR_RETURN(out.errno_value, errno_value->integer<int>());
    if (out.errno_value < 1 || out.errno_value > kMostErrno)
      return errno_value->error("must be an errno between 1 and 4095");
  }
  return read_list(object, "args", out.args, notes, read_arg);
}

}  // namespace

Status read_seccomp(const Cursor& object, Seccomp& out, Notes& notes) {
  note_unknown(object, {"default_action", "architectures", "syscalls"}, notes);
  notes.named = notes.named || object.get("default_action").has_value() || object.get("architectures").has_value();
  RETURN_IF_ERROR(read_action(object, "default_action", out.default_action));
  RETURN_IF_ERROR(object.read("architectures", out.architectures));
  return read_list(object, "syscalls", out.syscalls, notes, read_syscall);
}

}  // namespace cooper::spec::libcontainer::internal
