// OpenPGP signatures. The cryptography is gpgv's (GnuPG), which runs as a helper program with nothing in its hands: no
// user, no files but its own libraries, no network, limited memory and time. It gets descriptors, and what it says is
// read from its status lines, whose format GnuPG documents (doc/DETAILS).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "trust/keys.h"

namespace cooper::trust {

struct Signature {
  std::string fingerprint;  // of the key that was given, lower case
  std::string made_by;      // of that key, or of the subkey of it that signed
  std::string user_id;      // as gpgv prints it, printable
  std::int64_t made_unix_s = 0;
  std::int64_t expires_unix_s = 0;  // of the signature; 0: never

  // The last 16 digits of made_by.
  std::string key_id() const { return made_by.substr(made_by.size() < 16 ? 0 : made_by.size() - 16); }
};

struct VerifyOptions {
  std::string program = {};  // gpgv; empty: where distributions put it
  // Readable when the work shall end: Errc::kCancelled. Not valid: nobody asks.
  BorrowedFd cancel{-1};
};

inline constexpr std::size_t kMaxSignatureBytes = std::size_t{64} << 10;

// The good signatures by the given keys, at least one. Errors name neither the data nor its signature; callers do.
//   Errc::kInvalidArgument  no signature is in there
//   Errc::kPermission       none was made by a given key; the key, or the signature, has expired or was revoked; the
//                           digest it is made of is too weak. The hint says what to do about it.
//   Errc::kCorrupt          a signature by a given key does not match the data
//   Errc::kNotFound         there is no gpgv
//
// `signature` is armored or binary and signs the whole file behind `data`, from its beginning.
Result<std::vector<Signature>> verify_detached(BorrowedFd data, std::string_view signature, std::span<const Key> keys,
                                               const VerifyOptions& options = {});

// A message that holds what it signs (gpg --sign).
struct SignedMessage {
  std::string content;
  std::vector<Signature> signatures;
};
Result<SignedMessage> verify_inline(std::string_view message, std::span<const Key> keys, std::size_t max_content_bytes,
                                    const VerifyOptions& options = {});

}  // namespace cooper::trust
