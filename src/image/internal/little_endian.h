// Numbers in bytes from outside. `at` must leave room for them: the caller has checked the size.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/error.h"

namespace cooper::image {

template <typename T>
T little_endian(std::string_view bytes, std::size_t at) {
  COOPER_ASSERT(at + sizeof(T) <= bytes.size());
  T out = 0;
  for (std::size_t i = sizeof(T); i-- > 0;) out = static_cast<T>(out << 8 | static_cast<unsigned char>(bytes[at + i]));
  return out;
}
inline std::uint16_t le16(std::string_view bytes, std::size_t at) {
  return little_endian<std::uint16_t>(bytes, at);
}
inline std::uint32_t le32(std::string_view bytes, std::size_t at) {
  return little_endian<std::uint32_t>(bytes, at);
}
inline std::uint64_t le64(std::string_view bytes, std::size_t at) {
  return little_endian<std::uint64_t>(bytes, at);
}

}  // namespace cooper::image
