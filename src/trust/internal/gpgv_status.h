// What gpgv says on its status descriptor.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "trust/signature.h"

namespace cooper::trust {

inline constexpr std::size_t kMaxStatusBytes = std::size_t{64} << 10;

// By the rules of signature.h.
Result<std::vector<Signature>> read_status(std::string_view text, std::span<const Key> keys);

}  // namespace cooper::trust
