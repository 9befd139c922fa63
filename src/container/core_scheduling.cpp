#include "container/core_scheduling.h"

#include <sys/prctl.h>

#include <cerrno>
#include <string>

#include "base/strings.h"
#include "container/validate_rules.h"
#include "io/file.h"
#include "sys/missing.h"

namespace cooper::container {
namespace {

// linux/prctl.h, under names of our own: the header of Debian 12 has some of them only.
constexpr unsigned long kCreate = 1, kShareFrom = 3;
constexpr unsigned long kThread = 0, kProcess = 1;

}  // namespace

Result<SetCoreScheduling> parse_core_scheduling(std::string_view text) {
  if (text == "new") return SetCoreScheduling{};
  return rules::fail(std::string("/annotations/") + kCoreSchedulingAnnotation, "must be 'new', not " + quoted(text));
}

Result<pid_t> innermost_pid(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/status";
  ASSIGN_OR_RETURN(const std::string status, io::read_file(path, 65536));
  for (const std::string_view line : split(status, '\n')) {
    if (!line.starts_with("NSpid:")) continue;
    const std::size_t last = line.find_last_of("\t :");
    if (const auto number = parse_number<pid_t>(line.substr(last + 1))) return *number;
  }
  return Error(Errc::kUnsupported, quoted(path) + " has no line 'NSpid'");
}

Status apply_core_scheduling(const SetCoreScheduling& step) {
  const bool join = step.share_with != 0;
  const int failed = ::prctl(PR_SCHED_CORE, join ? kShareFrom : kCreate, static_cast<unsigned long>(step.share_with),
                             join ? kThread : kProcess, 0UL);
  const int saved = errno;
  // ENODEV: no core has a second thread.
  if (failed == 0 || saved == ENODEV) return {};
  if (saved == EINVAL)
    return Error(Errc::kUnsupported, "core scheduling is not available on this host", saved)
        .with_hint("it needs kernel 5.14 with CONFIG_SCHED_CORE; remove the annotation " +
                   std::string(kCoreSchedulingAnnotation));
  return Error::from_errno(saved, "core scheduling");
}

}  // namespace cooper::container
