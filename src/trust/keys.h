// OpenPGP public keys as far as people have to know them: whose they are, and what their fingerprints are. What a key
// is good for (its own signatures, its end, whether it was revoked) is for gpgv to say (trust/signature.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace cooper::trust {

inline constexpr std::size_t kMaxKeyFileBytes = std::size_t{1} << 20;

struct Key {
  std::string fingerprint;  // 40 hexadecimal digits, lower case
  std::int64_t created_unix_s = 0;
  std::vector<std::string> user_ids = {};  // as they are in the key: not for a terminal as they stand
  std::string packets = {};                // the key with all that belongs to it, binary
};

// The keys of a file, armored or binary, each once. `what` names it in messages. Errc::kPermission when it holds
// something private; Errc::kUnsupported for keys that are not of version 4; Errc::kInvalidArgument when there is no
// key.
Result<std::vector<Key>> parse_keys(std::string_view file, std::string_view what);

// As people write it: blanks between, capitals, "0x" before it. Errc::kInvalidArgument unless it is a whole
// fingerprint, or its last 16 digits at least.
Result<std::string> parse_fingerprint(std::string_view text);
// In groups of four.
std::string print_fingerprint(std::string_view fingerprint);

}  // namespace cooper::trust
