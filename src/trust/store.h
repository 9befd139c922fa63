// Which keys sign for which images. A key is trusted for all images (root), or for those whose name is a prefix or is
// below it: "example.com/team" is meant for example.com/team and example.com/team/app, not for example.com/teammate.
//
//   <directory>/root.d/<fingerprint>                 one armored key, named by its fingerprint
//   <directory>/prefix.d/example.com/team/<fingerprint>
//
// There are two such directories: the administrator's, and one of the distribution. An empty file in the first takes
// the trust from the key that the second has under the same name. A user without privileges has one more, which stands
// to those two as the administrator's does to the distribution's.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "trust/keys.h"

namespace cooper::trust {

struct TrustDirectories {
  std::string local = "/etc/cooper/trust";
  std::string administrator = {};  // of a user's; empty: `local` is it
  std::string vendor = "/usr/lib/cooper/trust";
};

// An identifier of appc: lower-case letters and digits, between them single "-", ".", "_", "~" or "/".
// Errc::kInvalidArgument.
Status check_prefix(std::string_view prefix);

// Whether what is trusted for a prefix is for images of that name; the empty prefix is for all, and the empty name for
// those alone that are for all.
bool is_meant(std::string_view prefix, std::string_view name);

struct TrustedKey {
  std::string prefix;  // empty: root
  std::string fingerprint;
  std::string path;
  bool vendor = false;  // or, of a user's, the administrator's
  bool masked = false;  // the vendor's or the administrator's, and not wanted here
};

class KeyStore {
 public:
  explicit KeyStore(TrustDirectories directories) : directories_(std::move(directories)) {}

  // Root first, then by prefix.
  Result<std::vector<TrustedKey>> list() const;
  // Errc::kCorrupt unless the file holds the one key that its name promises.
  static Result<Key> read(const TrustedKey& entry);
  // The keys whose signature is good for an image of that name.
  Result<std::vector<Key>> keys_for(std::string_view image_name) const;

  enum class Added { kNew, kRenewed, kThere };
  // Into the local directory; an empty prefix is root.
  Result<Added> add(const Key& key, const std::string& prefix);
  // By fingerprint, or its end; everywhere, or only where `prefix` says. The administrator's file goes, the vendor's is
  // masked. What was changed, which is nothing when there is no such key.
  Result<std::vector<TrustedKey>> remove(std::string_view fingerprint, const std::optional<std::string>& prefix);

 private:
  std::string directory_of(const std::string& top, const std::string& prefix) const;
  Status remove_local(const TrustedKey& entry);

  TrustDirectories directories_;
};

}  // namespace cooper::trust
