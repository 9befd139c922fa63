// What a registry and its token service may send.
#include <cstddef>
#include <cstdint>
#include <string>

#include "fetch/protocol.h"
#include "registry/backoff.h"
#include "registry/challenge.h"
#include "registry/upload.h"
#include "registry/url.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cooper::registry;
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const Challenge& challenge : parse_challenges(text)) {
    COOPER_ASSERT(!challenge.scheme.empty());
    (void)token_url(challenge, "name", Access::kPull, "account");
    const std::string scope = scope_of(challenge, "name", Access::kPush);
    COOPER_ASSERT(scope.starts_with("repository:name:pull,push"));
    (void)token_url(challenge, "name", Access::kPush, "");
  }
  (void)!parse_token(text, "token").ok();
  (void)parse_retry_after(text, 1'700'000'000);
  COOPER_ASSERT(parse_max_age(text) <= cooper::fetch::kMaxAgeS);
  (void)parse_taken(text, 1'000'000);
  const auto base = parse_url("https://registry.example:5000/v2/name/blobs/x?y");
  if (const auto url = resolve_url(*base, text); url.ok()) {
    // What is printed means the same again.
    const auto again = parse_url(url->str());
    COOPER_ASSERT(again.ok() && same_origin(*url, *again) && again->path == url->path);
  }
  return 0;
}
