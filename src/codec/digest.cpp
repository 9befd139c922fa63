#include "codec/digest.h"

#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <memory>

#include "base/strings.h"
#include "codec/sha1.h"

namespace cooper::codec {
namespace {

static_assert(sizeof(SHA256_CTX) <= 256 && sizeof(SHA512_CTX) <= 256);
static_assert(std::is_trivially_copyable_v<SHA256_CTX> && std::is_trivially_copyable_v<SHA512_CTX>);

template <typename T>
T* state_as(std::array<std::byte, 256>& bytes) {
  return std::launder(reinterpret_cast<T*>(bytes.data()));
}

Digest make_digest(std::string_view algorithm, const unsigned char* bytes, std::size_t size) {
  auto digest = Digest::parse(std::string(algorithm) + ":" + hex_encode({reinterpret_cast<const char*>(bytes), size}));
  COOPER_ASSERT(digest.ok());
  return std::move(digest).value();
}

}  // namespace

Hasher::Hasher(Algorithm algorithm) : algorithm_(algorithm) {
  if (algorithm_ == Algorithm::kSha256) {
    SHA256_Init(std::construct_at(reinterpret_cast<SHA256_CTX*>(state_.data())));
  } else {
    SHA512_Init(std::construct_at(reinterpret_cast<SHA512_CTX*>(state_.data())));
  }
}

Hasher::Hasher(const Digest& expected)
    : Hasher(expected.algorithm() == "sha512" ? Algorithm::kSha512 : Algorithm::kSha256) {}

void Hasher::update(std::string_view bytes) {
  if (algorithm_ == Algorithm::kSha256) {
    SHA256_Update(state_as<SHA256_CTX>(state_), bytes.data(), bytes.size());
  } else {
    SHA512_Update(state_as<SHA512_CTX>(state_), bytes.data(), bytes.size());
  }
}

Digest Hasher::finish() {
  std::array<unsigned char, SHA512_DIGEST_LENGTH> out{};
  if (algorithm_ == Algorithm::kSha256) {
    SHA256_Final(out.data(), state_as<SHA256_CTX>(state_));
    return make_digest("sha256", out.data(), SHA256_DIGEST_LENGTH);
  }
  SHA512_Final(out.data(), state_as<SHA512_CTX>(state_));
  return make_digest("sha512", out.data(), SHA512_DIGEST_LENGTH);
}

Digest digest_of(std::string_view bytes, Hasher::Algorithm algorithm) {
  Hasher hasher(algorithm);
  hasher.update(bytes);
  return hasher.finish();
}

std::string sha1_hex(std::string_view bytes) {
  std::array<unsigned char, SHA_DIGEST_LENGTH> out{};
  SHA_CTX state;
  SHA1_Init(&state);
  SHA1_Update(&state, bytes.data(), bytes.size());
  SHA1_Final(out.data(), &state);
  return hex_encode({reinterpret_cast<const char*>(out.data()), out.size()});
}

Status check_digest(std::string_view bytes, const Digest& expected, std::string_view what) {
  Hasher hasher(expected);
  hasher.update(bytes);
  const Digest actual = hasher.finish();
  if (actual != expected) return digest_mismatch(expected, actual, what);
  return {};
}

Error digest_mismatch(const Digest& expected, const Digest& actual, std::string_view what) {
  return Error(Errc::kCorrupt,
               std::string(what) + " is corrupt: its digest is " + actual.str() + ", not " + expected.str());
}

}  // namespace cooper::codec
