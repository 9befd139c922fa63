// SHA-1, for names that others have made with it (fingerprints of OpenPGP): never to check bytes.
#pragma once

#include <string>
#include <string_view>

namespace cooper::codec {

// 40 hexadecimal digits.
std::string sha1_hex(std::string_view bytes);

}  // namespace cooper::codec
