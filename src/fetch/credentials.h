// User and password for a registry, from the files that podman login and docker login write, from the helper programs
// such files name, and from those of rkt's auth.d. They are looked up by cooper, with its caller's rights: cooper-fetch
// opens no such file.
//
// A file: {"auths": {"registry.example": {"auth": "base64 of user:password"}},
//          "credHelpers": {"other.example": "pass"}, "credsStore": "secretservice"}
// Of rkt: {"rktKind": "dockerAuth", "rktVersion": "v1", "registries": ["registry.example"],
//          "credentials": {"user": "u", "password": "p"}}
//         {"rktKind": "auth", "rktVersion": "v1", "domains": ["web.example"], "type": "basic" or "oauth",
//          "credentials": {"user": "u", "password": "p"} or {"token": "t"}}
// The name of an entry is a registry, or a registry with the beginning of a repository, which wins; of an address
// ("https://registry.example/v1/") the host counts, as of "registry.example/v1/", unless there is an entry for the host
// itself. Entries without credentials count as absent. What a helper program knows wins over the entry of a registry,
// not over that of a part of it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"

namespace cooper::fetch {

struct Credentials {
  std::string username = {}, password = {};
  std::string identity_token = {};  // instead of a password, for the token service
  std::string bearer_token = {};    // instead of a password, for whoever is asked, as it is
  bool operator==(const Credentials&) const = default;
};

struct AuthFile {
  std::map<std::string, Credentials> entries;  // by cleaned name
  std::map<std::string, std::string> helpers;  // registry -> NAME of docker-credential-NAME
  std::string helper = {};                     // for every other registry
};
Result<AuthFile> parse_auth_file(std::string text, std::string_view what);

// What a helper program printed for "get".
Result<Credentials> parse_helper_answer(std::string text, std::string_view what);

// "user:password" as a person types it.
Result<Credentials> parse_credentials(std::string_view text);

struct CredentialSearch {
  std::vector<std::string> must_files = {};   // as a flag or a variable names them: not to find one is an error
  std::vector<std::string> directories = {};  // of files *.json, in the order of their names
  std::vector<std::string> files = {};        // may be missing
  std::vector<std::string> environment = {};  // of helper programs
};
// The first there are, in the order of the search; none: nullopt. `registry` is the name as in a reference.
Result<std::optional<Credentials>> find_credentials(const CredentialSearch& search, const std::string& registry,
                                                    const std::string& repository);

}  // namespace cooper::fetch
