// ASCII armor of OpenPGP (RFC 4880, section 6).
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace cooper::trust {

// The bytes in all armored blocks of `text`, one after the other; text around blocks is passed over. What is not
// armored is returned as it is. Errc::kCorrupt, naming `what`: a block without an end, a wrong checksum, no base64.
Result<std::string> dearmor(std::string_view text, std::string_view what);

// `type` as in "PUBLIC KEY BLOCK".
std::string armor(std::string_view bytes, std::string_view type);

}  // namespace cooper::trust
