// Streaming SHA-256 and SHA-512. Hides libcrypto: the block functions are called directly, which costs no library
// initialisation at start (the EVP interface costs over a millisecond and four megabytes; docs/adr).
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "base/ids.h"

namespace cooper::codec {

class Hasher {
 public:
  enum class Algorithm { kSha256, kSha512 };
  explicit Hasher(Algorithm algorithm = Algorithm::kSha256);
  // The algorithm of the digest that is to be checked.
  explicit Hasher(const Digest& expected);

  void update(std::string_view bytes);
  // Ends the computation; the hasher must not be used afterwards.
  Digest finish();

 private:
  Algorithm algorithm_;
  alignas(16) std::array<std::byte, 256> state_;
};

Digest digest_of(std::string_view bytes, Hasher::Algorithm algorithm = Hasher::Algorithm::kSha256);
// Errc::kCorrupt naming `what` and both digests.
Status check_digest(std::string_view bytes, const Digest& expected, std::string_view what);
Error digest_mismatch(const Digest& expected, const Digest& actual, std::string_view what);

}  // namespace cooper::codec
