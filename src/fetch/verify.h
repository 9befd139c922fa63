// Whether a signature is by a key: asked of cooper-fetch as a program of its own, which has no network, no user and no
// file, only these bytes (descriptors 3, 4 and 5), and answers with its exit status and a word.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace cooper::fetch {

inline constexpr int kVerifyKeyFd = 3;
inline constexpr int kVerifyPayloadFd = 4;
inline constexpr int kVerifySignatureFd = 5;
inline constexpr std::size_t kMaxVerifyBytes = std::size_t{1} << 20;  // of each of the three
inline constexpr std::string_view kVerifyWord = "verify";             // argument of cooper-fetch
inline constexpr std::string_view kVerifyGood = "good\n";             // its output, with exit status 0

struct Verification {
  std::string_view key;        // public, PEM: ECDSA, RSA (PKCS #1 v1.5) or Ed25519
  std::string_view payload;    // hashed with SHA-256, but for Ed25519
  std::string_view signature;  // as the algorithm has it: DER of ECDSA
};
// Errc::kPermission when the signature is not by that key; Errc::kInvalidArgument when the key is none of those;
// Errc::kTimeout when there is no answer. `program` is cooper-fetch, an absolute path.
Status verify(const std::string& program, const Verification& question);

}  // namespace cooper::fetch
