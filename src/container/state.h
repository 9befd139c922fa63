// What the runtime keeps of a container: where, and its record as JSON.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "container/container.h"

namespace cooper::container {

// The only functions that build these names. Ids never start with a dot.
struct StatePaths {
  std::string root;
  std::string id;
  std::string record() const { return root + "/" + id; }  // see record_file.h
  // Where an init that waits for its start is asked to.
  std::string start_socket() const { return root + "/.start-" + id; }
  // The pidfd of the init, mounted, for its exit status (exit_mount.h).
  std::string exit_mount() const { return root + "/.exit-" + id; }
  // Where criu finds the root file system while it restores, in a mount namespace of its own.
  std::string restored_root() const { return root + "/.root-" + id; }
};
StatePaths state_paths(const std::string& root, std::string_view id);

std::string print_state_record(const StateRecord& record);
Result<StateRecord> parse_state_record(std::string text, std::string_view what);

std::string print_exit_record(const ExitRecord& record);
Result<ExitRecord> parse_exit_record(std::string text, std::string_view what);

// "3f0c...": identifies this boot.
Result<std::string> boot_id();
// RFC 3339 with nanoseconds, UTC.
std::string timestamp_now();
std::string timestamp_of(std::int64_t unix_ms);

}  // namespace cooper::container
