// What a registry asks for: the WWW-Authenticate header (RFC 9110, section 11.6.1), and the answer of a token service.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace cooper::registry {

struct Challenge {
  std::string scheme;                             // lower case: "bearer", "basic"
  std::map<std::string, std::string> parameters;  // names in lower case
  // Empty when there is none of that name.
  std::string parameter(const std::string& name) const;
};

// All challenges of one header, in order. What cannot be read ends the list: what came before it counts.
std::vector<Challenge> parse_challenges(std::string_view header);

// The token in the JSON of a token service; `what` names it in errors. How long it lasts is not looked at: a registry
// that does not take it any more says so.
Result<std::string> parse_token(std::string text, std::string_view what);

// What a token is to allow.
enum class Access { kPull, kPush };

// The URL of the token service that a bearer challenge names, with its query.
std::string token_url(const Challenge& challenge, const std::string& repository, Access access,
                      const std::string& account);
// What the challenge says, else "repository:NAME:pull". For a push always "repository:NAME:pull,push", also when only
// reading was asked about so far, and what else the challenge says. Several are separated by one blank.
std::string scope_of(const Challenge& challenge, const std::string& repository, Access access);

}  // namespace cooper::registry
