// Key files, armor, and what gpgv says: never a crash; a key that was taken is taken again from its armor, the same.
#include <cstddef>
#include <cstdint>
#include <string>

#include "trust/armor.h"
#include "trust/internal/gpgv_status.h"
#include "trust/internal/test_keys.h"
#include "trust/keys.h"
#include "trust/store.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cooper::trust;
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (const auto keys = parse_keys(text, "fuzz"); keys.ok()) {
    for (const Key& key : *keys) {
      const auto again = parse_keys(armor(key.packets, "PUBLIC KEY BLOCK"), "again");
      COOPER_ASSERT(again.ok() && again->size() == 1 && again->front().fingerprint == key.fingerprint);
      COOPER_ASSERT(again->front().packets == key.packets);
    }
  }
  const auto alice = parse_keys(testing::kAlice, "alice");
  if (const auto read = read_status(text, *alice); read.ok()) {
    for (const Signature& signature : *read) COOPER_ASSERT(signature.fingerprint == testing::kAliceFingerprint);
  }
  if (check_prefix(text).ok()) COOPER_ASSERT(text.find("..") == std::string::npos && text.front() != '/');
  (void)parse_fingerprint(text).ok();
  return 0;
}
