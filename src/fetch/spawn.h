// Starting another program with chosen descriptors and environment.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::fetch {

struct Spawn {
  std::string program;            // absolute, or a word that is looked for in PATH
  std::vector<std::string> args;  // without the program's own name
  std::vector<std::string> env;   // all of it
  // Descriptor of ours -> number there; of what is not named only 0, 1 and 2 are inherited, whoever has opened it.
  std::vector<std::pair<int, int>> descriptors;
  // Without a terminal: it has neither its signals nor its descriptor.
  bool own_session = false;
};
// The child; the caller waits for it. All signals have their default action and none is blocked there.
Result<pid_t> spawn(const Spawn& request);

}  // namespace cooper::fetch
