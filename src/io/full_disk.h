// A full disk is not where the message of a failed write says it is: that names what was being written.
#pragma once

#include <string>

#include "base/error.h"

namespace cooper::io {

// Of an error that came of a full disk: `where` that is, and what to try. Others, and what has a hint already, stay as
// they are.
Error explain_full_disk(Error error, const std::string& where, std::string hint);

}  // namespace cooper::io
