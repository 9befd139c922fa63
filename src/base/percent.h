// Bytes as "%XX" (RFC 3986, 2.1), as URLs, D-Bus addresses and keys of pax records have them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace cooper {

// Everything but letters, digits and `kept` is written "%XX". What is kept by default may stand in a query or a form.
std::string percent_encode(std::string_view text, std::string_view kept = "-._~");
// nullopt: a '%' without two hexadecimal digits.
std::optional<std::string> percent_decode(std::string_view text);

}  // namespace cooper
