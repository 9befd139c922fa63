// Base64 of RFC 4648, section 4.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace cooper::codec {

std::string base64_encode(std::string_view bytes);
// Padding may be missing; anything that is not of the alphabet makes nullopt.
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace cooper::codec
