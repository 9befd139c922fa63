// A person looks at keys before they are trusted.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "trust/keys.h"
#include "trust/store.h"

namespace cooper::cli {

struct KeyReview {
  std::string prefix = {};                     // what they shall be good for; empty: every image
  std::vector<std::string> fingerprints = {};  // only these, which are known to be right (or their last 16 digits)
  bool skip = false;                           // nobody is asked
  // What to try where there is no terminal; empty: the flags of trust add.
  std::string elsewhere = {};
  // Readable when the question is to be given up: Errc::kCancelled. Not valid: signals act as they do anyway.
  BorrowedFd cancel{-1};
};

// The keys of `what` that are to be trusted. Asks on the terminal for each one that was not named by its fingerprint;
// Errc::kPermission where there is nobody to ask, and for what was refused. Without a question a file must not bring
// more keys than one.
Result<std::vector<trust::Key>> review_keys(std::vector<trust::Key> keys, std::string_view what,
                                            const KeyReview& review);

// "Trusted: FINGERPRINT for 'prefix'" and the like, for people.
std::string describe_added(trust::KeyStore::Added added, const trust::Key& key, const std::string& prefix);
// A prefix as people read it.
std::string target_of(const std::string& prefix);

// What is shown: fingerprint, age, and user ids that a stranger wrote.
std::string describe_key(const trust::Key& key);

}  // namespace cooper::cli
