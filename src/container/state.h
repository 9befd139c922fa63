// The runtime's state directory: paths and the versioned record.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "container/container.h"

namespace cooper::container {

// <root>/<id>/{lock,state.json,config.json,start.sock}: the only functions that build these names.
struct StatePaths {
  std::string directory;
  std::string state() const { return directory + "/state.json"; }
  std::string config() const { return directory + "/config.json"; }
  std::string start_socket() const { return directory + "/start.sock"; }
  // How the init ended, when somebody saw it.
  std::string exit() const { return directory + "/exit.json"; }
  // Its text is the cgroup path, known before the cgroup is made.
  std::string lock() const { return directory + "/lock"; }
};
StatePaths state_paths(const std::string& root, std::string_view id);

std::string print_state_record(const StateRecord& record);
Result<StateRecord> parse_state_record(std::string text, std::string_view what);

// What is known before state.json is written: the lines of the lock file. A creator that is killed before it wrote that
// leaves this much for delete to clean up with.
std::string print_first_lines(const StateRecord& record);
void parse_first_lines(std::string_view text, StateRecord& out);

std::string print_exit_record(const ExitRecord& record);
Result<ExitRecord> parse_exit_record(std::string text, std::string_view what);

// "3f0c...": identifies this boot.
Result<std::string> boot_id();
// RFC 3339 with nanoseconds, UTC.
std::string timestamp_now();
std::string timestamp_of(std::int64_t unix_ms);

}  // namespace cooper::container
