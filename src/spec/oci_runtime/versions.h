// What came, or changed its meaning, with which version of the runtime specification. Versions are compared by their
// three numbers alone: the specification calls what follows 1.0.2 "1.0.2-dev" and what follows 1.1.0 "1.1.0+dev".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace cooper::spec::oci_runtime {

// A rule that is not the same in all versions: it holds from one on.
enum class Rule {
  kPidsLimitZeroIsALimit,  // before: left open, and written by callers for "no limit"
  kPoststartMustSucceed,   // before: a failure is a warning
};
// `version`: an ociVersion that parse_config() has taken.
bool holds(Rule rule, std::string_view version);

// A member, or a value of one, that no configuration of the claimed version can have.
struct NewerMember {
  std::string pointer;  // "/linux/resources/cpu/idle"
  std::string since;    // "1.1.0"
};
// In the order of the table; `text` is a configuration that parse_config() takes. Members of other systems (vm, zos,
// freebsd) are not looked at.
Result<std::vector<NewerMember>> newer_members(std::string text, std::string_view what = "config.json");
// The same as one sentence; empty when there is nothing to say. Also about a version that is newer than this program.
Result<std::string> describe_newer_members(std::string text, std::string_view what = "config.json");

}  // namespace cooper::spec::oci_runtime
