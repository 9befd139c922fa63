// What hooks and commands around mounts share: programs of the configuration, run to their end, whose last words tell
// why they failed.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "sys/process.h"

namespace cooper::container {

// For execve(2): the texts, which must outlive the result, and a null pointer at the end.
std::vector<char*> pointers(const std::vector<std::string>& texts);

// Ok when the program ended with 0. Otherwise how it ended, and the last line of `output`, the file it wrote to.
Status program_result(const sys::ExitStatus& status, BorrowedFd output);

}  // namespace cooper::container
