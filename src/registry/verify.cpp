#include "registry/verify.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <unistd.h>

#include <memory>

#include "confine/sandbox.h"
#include "io/file.h"
#include "sys/file.h"

namespace cooper::registry {
namespace {

constexpr int kMinRsaBits = 2048;

using Key = std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)>;

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

Result<Key> read_key(std::string_view pem) {
  const std::unique_ptr<BIO, int (*)(BIO*)> input(::BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())),
                                                  ::BIO_free);
  if (!input) return Error(Errc::kSystem, "no memory for a key");
  Key key(::PEM_read_bio_PUBKEY(input.get(), nullptr, nullptr, nullptr), ::EVP_PKEY_free);
  if (!key) return Error(Errc::kInvalidArgument, "the key is no public key in PEM");
  const int kind = ::EVP_PKEY_get_base_id(key.get());
  if (kind != EVP_PKEY_EC && kind != EVP_PKEY_RSA && kind != EVP_PKEY_ED25519)
    return Error(Errc::kInvalidArgument, "the key is none of ECDSA, RSA or Ed25519");
  if (kind == EVP_PKEY_RSA && ::EVP_PKEY_get_bits(key.get()) < kMinRsaBits)
    return Error(Errc::kInvalidArgument, "the RSA key has fewer than 2048 bits");
  return key;
}

Result<std::string> read_descriptor(int number) {
  const UniqueFd file(number);
  return io::read_all(file, fetch::kMaxVerifyBytes);
}

Status answer() {
  RETURN_IF_ERROR(confine::drop_root());
  // Its configuration could not be read any more when it is first needed.
  if (::OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr) != 1)
    return Error(Errc::kSystem, "libcrypto does not start");
  RETURN_IF_ERROR(confine::enter_sandbox(confine::Purpose::kCompute));
  ASSIGN_OR_RETURN(const std::string key, read_descriptor(fetch::kVerifyKeyFd));
  ASSIGN_OR_RETURN(const std::string payload, read_descriptor(fetch::kVerifyPayloadFd));
  ASSIGN_OR_RETURN(const std::string signature, read_descriptor(fetch::kVerifySignatureFd));
  return check_signature({.key = key, .payload = payload, .signature = signature});
}

}  // namespace

Status check_signature(const fetch::Verification& question) {
  ASSIGN_OR_RETURN(const Key key, read_key(question.key));
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(::EVP_MD_CTX_new(), ::EVP_MD_CTX_free);
  // Ed25519 hashes by itself.
  const EVP_MD* hash = ::EVP_PKEY_get_base_id(key.get()) == EVP_PKEY_ED25519 ? nullptr : ::EVP_sha256();
  if (!context || ::EVP_DigestVerifyInit(context.get(), nullptr, hash, nullptr, key.get()) != 1)
    return Error(Errc::kSystem, "the key cannot be used");
  const int good = ::EVP_DigestVerify(context.get(), bytes_of(question.signature), question.signature.size(),
                                      bytes_of(question.payload), question.payload.size());
  if (good == 1) return {};
  return Error(Errc::kPermission, "the signature is not by this key");
}

int verify() {
  const Status status = answer();
  const std::string words = status.ok() ? std::string(fetch::kVerifyGood) : status.error().message();
  const bool said = sys::write_all(BorrowedFd(STDOUT_FILENO), words).ok();
  if (status.ok() && said) return 0;
  constexpr int kBadKey = 2;
  return !status.ok() && status.error().code() == Errc::kInvalidArgument ? kBadKey : 1;
}

}  // namespace cooper::registry
