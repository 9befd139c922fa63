#include "cli/cooper/start_failure.h"

#include <cerrno>
#include <string_view>

#include "cli/cooper/command.h"

namespace cooper::cli {
namespace {

// The runtime words a failed exec as "exec 'NAME': why" or "exec: why", after any context.
bool names_exec(std::string_view message) {
  for (std::size_t at = 0; at != std::string_view::npos;) {
    const std::string_view rest = message.substr(at);
    if (rest.starts_with("exec '") || rest.starts_with("exec: ")) return true;
    const std::size_t next = message.find(": ", at);
    at = next == std::string_view::npos ? next : next + 2;
  }
  return false;
}

}  // namespace

int start_failure_status(const Error& error) {
  if (!names_exec(error.message())) return kExitEngine;
  return error.errno_value() == ENOENT || error.errno_value() == ENOTDIR ? kExitNotFound : kExitCannotExecute;
}

}  // namespace cooper::cli
