#include "container/time_namespace.h"

#include <fcntl.h>
#include <sched.h>

#include "io/file.h"
#include "sys/cred.h"
#include "sys/file.h"
#include "sys/missing.h"
#include "sys/process.h"

namespace cooper::container {

Status make_time_namespace(const NewTimeNamespace& step) {
  Status made = sys::unshare(CLONE_NEWTIME);
  if (!made.ok()) return std::move(made).error().with("time namespace");
  std::string text;
  for (const auto& [clock, offset] : step.offsets) {
    text += clock + " " + std::to_string(offset.secs) + " " + std::to_string(offset.nanosecs) + "\n";
  }
  if (text.empty()) return {};
  Status written = io::write_existing(sys::kCwd, "/proc/self/timens_offsets", text);
  if (written.ok() || written.error().errno_value() != ERANGE) return written;
  return Error(Errc::kInvalidArgument, "time offsets: a clock would stand before zero or beyond 146 years", ERANGE)
      .with_hint("change linux.timeOffsets; the machine's own clocks count from its start");
}

Status make_time_namespace_inside(const NewTimeNamespace& step) {
  if (step.offsets.empty()) return make_time_namespace(step);
  // The files of a process that is not dumpable belong to the host's root, and the offsets are written to one.
  RETURN_IF_ERROR(sys::set_dumpable(true));
  Status made = make_time_namespace(step);
  RETURN_IF_ERROR(sys::set_dumpable(false));
  return made;
}

Status enter_new_time_namespace(const NewTimeNamespace& step) {
  RETURN_IF_ERROR(make_time_namespace_inside(step));
  ASSIGN_OR_RETURN(const UniqueFd made, sys::openat(sys::kCwd, "/proc/self/ns/time_for_children", O_RDONLY));
  return sys::setns(made, CLONE_NEWTIME);
}

}  // namespace cooper::container
