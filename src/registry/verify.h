// cooper-fetch as the program that checks one signature (fetch/verify.h).
#pragma once

#include <string>

#include "base/error.h"
#include "fetch/verify.h"

namespace cooper::registry {

// Hides libcrypto. Errors as those of fetch::verify().
Status check_signature(const fetch::Verification& question);

// Gives up what the process has, reads its descriptors and answers. The exit status.
int verify();

}  // namespace cooper::registry
