// From the resources of a specification to the files they are written to: pure, so that every field can be tested
// without a kernel.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "spec/oci_runtime/types.h"

namespace cooper::cgroup {

// One value for one file of one controller's directory.
struct Setting {
  std::string controller;  // "memory"; names the hierarchy on v1 and the words of the error on both
  std::string file;        // "memory.limit_in_bytes"
  std::string value;
  // When the file or its controller does not exist.
  enum class Missing { kError, kIgnore, kWarn } missing = Missing::kError;
  // The kernel refuses (EINVAL) some orders of values that depend on each other: try again after the others.
  bool retry_last = false;
  // Written instead when `file` does not exist (kernels differ in the name of the knob).
  std::string other_file = {}, other_value = {};
  // Two words of which only the second is wanted: an update keeps the first as it is.
  bool keep_first = false;
  // Files with one line per key (a device): the key, and the line that sets it back to nothing.
  std::string key = {}, reset = {};
  // A weight, which the kernel refuses (EINVAL) to an idle group: no error, because the group is to be idle.
  bool moot_when_idle = false;
};

// A value to write back when an update fails half-way.
struct Undo {
  std::string path;
  std::string value;
  std::string other_value = {};  // where the kernel takes the value (ENOSPC) from groups without processes only
};

// In the order of writing on a fresh group; device rules are not part of it. Errc::kInvalidArgument for values no
// kernel takes, Errc::kUnsupported for what the version cannot express.
Result<std::vector<Setting>> settings_v1(const oci::Resources& resources);
Result<std::vector<Setting>> settings_v2(const oci::Resources& resources);

// The kernel takes a weight from groups that are not idle only, and forgets it when one becomes idle: weights are put
// after a cpu.idle of 0, and before one of 1.
void order_idle(std::vector<Setting>& settings);
// Of an update on v1: memory and memory+swap ordered by the current values (-1: unlimited), so that memory <=
// memory+swap holds after each write.
void order_memory_v1(std::vector<Setting>& settings, std::int64_t current_memory_plus_swap);

// The value of a setting with keep_first, completed by the file's content.
std::string completed_value(const Setting& setting, std::string_view current);

// What brings the file back to what `old_text` (its former content) said for this setting.
std::string undo_value(const Setting& setting, std::string_view old_text);
// True when the file already says what the setting wants.
bool is_current(const Setting& setting, std::string_view text);

// blkio weight 10..1000 -> io.weight 1..10000.
std::uint64_t io_weight_from_blkio(std::uint64_t weight);

}  // namespace cooper::cgroup
