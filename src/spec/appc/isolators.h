// The isolators the App Container specification names, read from their JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "codec/json.h"
#include "spec/appc/types.h"

namespace cooper::spec::appc {

struct CapabilitySet {
  bool retain = false;             // these and no others; false: all of the default but these
  std::vector<std::string> names;  // "CAP_NET_ADMIN", as written
};
struct SeccompSet {
  bool retain = false;
  std::vector<std::string> names;  // of system calls, and "@group"
  std::string errno_name;          // empty: the system call ends the process
};

// What a list of isolators asks for. Of several that say the same the last one counts, but of no-new-privileges any
// true.
struct Isolation {
  std::optional<std::uint64_t> memory_limit_bytes;
  std::optional<std::uint64_t> cpu_limit_milli;  // thousandths of one processor
  std::optional<std::uint64_t> cpu_shares;
  std::optional<CapabilitySet> capabilities;
  std::optional<SeccompSet> seccomp;
  std::optional<bool> no_new_privileges;
  std::optional<int> oom_score_adj;
  // Names of those that are known but say nothing here (block-bandwidth, sysctl ...) and of unknown ones.
  std::vector<std::string> others;
};

// Amounts like "1.5Gi", "200m", "2M" in units of 1/per_unit (1000: thousandths), rounded up.
Result<std::uint64_t> parse_quantity(std::string_view text, std::uint64_t per_unit = 1);

// Checks one isolator's value, which `value` is the cursor of, and adds it.
Status read_isolator(std::string_view name, const codec::json::Cursor& value, Isolation& out);
// Isolators of a manifest that was parsed.
Result<Isolation> read_isolators(const std::vector<Isolator>& isolators);

}  // namespace cooper::spec::appc
