// One registry as all workers see it: which scheme it speaks, and what authorization it has accepted.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "base/error.h"
#include "fetch/protocol.h"
#include "registry/challenge.h"
#include "registry/http.h"
#include "registry/url.h"

namespace cooper::registry {

class Registry {
 public:
  Registry(const fetch::Endpoint& endpoint, Access access) : endpoint_(endpoint), access_(access) {}

  const fetch::Endpoint& endpoint() const { return endpoint_; }
  std::string scheme() const;
  // TLS is not spoken there, as who tried this URL says; false when plain http is not allowed, or is what was tried.
  bool fall_back_to_http(std::string_view tried);

  // It failed as a whole: nobody asks it again in this process who has another one to ask. `why` is for people.
  void set_aside(const std::string& why);
  // Empty: it was not.
  std::string set_aside_because() const;

  // For the Authorization header of the next request; empty until the registry has asked for one.
  std::string authorization() const;
  // After an answer 401 to a request that carried `used`: gets what the registry asks for, from its token service if
  // need be. Errc::kPermission with a hint about credentials when there is nothing (else) to offer.
  Status authorize(HttpClient& client, const HttpHead& head, const std::string& used);

 private:
  Result<std::string> answer(HttpClient& client, const Challenge& challenge, bool had_one);
  Result<std::string> ask_token_service(HttpClient& client, const Challenge& challenge);
  // Whether a password may go there unencrypted.
  bool may_be_plain(const Url& service) const;
  Error refused(std::string_view why) const;

  const fetch::Endpoint& endpoint_;
  Access access_;
  mutable std::mutex mutex_;
  bool plain_ = false;
  std::string authorization_;
  std::string set_aside_;
};

// "404 Not Found: manifest unknown (MANIFEST_UNKNOWN)", from the answer's body.
std::string describe_answer(long status, const std::string& answer);

}  // namespace cooper::registry
