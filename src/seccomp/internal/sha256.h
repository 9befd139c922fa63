// SHA-256 (FIPS 180-4), small and without OpenSSL: a key and a checksum of a few kilobytes on the start path.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace cooper::seccomp {

using Sha256 = std::array<std::uint8_t, 32>;
Sha256 sha256(std::string_view bytes);

}  // namespace cooper::seccomp
