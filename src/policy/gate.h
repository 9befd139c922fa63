// The policy of this machine, and what stands between an image and the store: which file holds, what it asks of an
// image, where the signatures are, which programs check them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "fetch/client.h"
#include "policy/check.h"
#include "policy/places.h"
#include "policy/policy.h"

namespace cooper::policy {

struct GateOptions {
  std::string file = {};  // policy.json; empty: the first of `files` that there is
  std::vector<std::string> files = {};
  std::vector<std::string> directories = {};  // registries.d: the first that there is
  std::string standard_lookaside = {};        // URL
  std::string fetch_program = {};  // cooper-fetch; empty: not found, which matters to sigstore signatures alone
  std::string gpgv_program = {};   // empty: found
};

class Gate {
 public:
  // Without any file everything is accepted.
  static Result<Gate> open(GateOptions options);

  // The file that holds; empty: none.
  const std::string& file() const { return file_; }
  const std::optional<Policy>& policy() const { return policy_; }
  // The rule for a subject; its requirements live as long as the gate. None: there is no policy.
  std::optional<Rule> rule(const Subject& subject) const;
  Result<Places> places(const oci_image::Reference& reference) const;

  // Refuses what can be refused without looking at the image. True: signatures are required.
  Result<bool> enter(const Subject& subject, bool has_signatures) const;
  // An image of a registry, when enter() has said so. The client's setup has the lookaside, where it is no file.
  Status admit(const oci_image::Reference& reference, std::string_view manifest_bytes, const Digest& manifest,
               fetch::Client& client, BorrowedFd cancel) const;

 private:
  Gate() = default;
  Error refuse(Error why, const Rule& rule) const;

  GateOptions options_;
  std::string file_;
  std::optional<Policy> policy_;
};

}  // namespace cooper::policy
