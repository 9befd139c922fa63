// What hooks and commands around mounts share: programs of the configuration, run to their end, whose last words tell
// why they failed.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "sys/process.h"

namespace cooper::container {

struct ChildProgram {
  std::string path;
  bool search_path = false;                       // a word is looked for in PATH
  std::vector<std::string> args = {};             // with the program's own name
  const std::vector<std::string>* env = nullptr;  // all of it; nullptr: ours
  std::string dir = {};                           // to run in; empty: ours
  BorrowedFd input{-1};                           // -1: /dev/null
  BorrowedFd output{-1};                          // -1: ours
  BorrowedFd errors{-1};
  bool own_group = false;  // leads a process group
};
// The child; the caller waits for it. Signals have their default action and none is blocked there. It has no other
// descriptors: what the caller of the runtime left open, or wants handed on to the container, is no business of a
// program of the configuration - least of all of one that is a program of the container.
Result<pid_t> spawn_program(const ChildProgram& program);

// Ok when the program ended with 0. Otherwise how it ended, and the last line of `output`, the file it wrote to.
Status program_result(const sys::ExitStatus& status, BorrowedFd output);

}  // namespace cooper::container
