// ACIs of `run` and `pod run`, `pod prepare`: by the names of image fetch, with rkt's flags.
#pragma once

#include <array>
#include <functional>
#include <vector>

#include "base/error.h"
#include "cli/cooper/args.h"
#include "cli/cooper/command.h"
#include "cli/cooper/insecure_options.h"
#include "cli/cooper/registry_session.h"
#include "pod/pod.h"

namespace cooper::cli {

// --pull-policy, and rkt's older words for two of its values.
inline constexpr std::array<Flag, 3> kPullPolicyFlags = {{
    {"pull-policy", 0, "POLICY",
     "rkt's words: new (what the store lacks is fetched), update (the server is asked each time), never (the store "
     "only)",
     Flag::Complete::kWords, "new update never"},
    {"no-store", 0, "", "as --pull-policy=update"},
    {"store-only", 0, "", "as --pull-policy=never"},
}};
// What these flags say; none: nothing. --pull is the same in podman's words, for messages.
Result<std::optional<pod::Pull>> pull_policy_flags(const Args& args);

inline constexpr Flag kTrustFlag = {
    "trust-keys-from-https", 0, "",
    "when no key is trusted for the name of an ACI yet: trust those its domain names, unseen"};
inline constexpr Flag kRunSignatureFlag = {"signature", 0, "FILE|URL",
                                           "of an ACI that is fetched: where its signature is (default: beside it)",
                                           Flag::Complete::kFile};

// What the store has under a name or from an address; nothing of a file.
Result<std::optional<image::Image>> known_image(const image::Store& store, const std::string& word);

// Those of the apps whose images are ACIs (means_aci()) and are to be fetched are, and each is called by a word under
// which the store finds it. `signatures`: of each, empty: where it belongs. `before_end` is called before a signal ends
// the process.
Status bring_acis(const Context& context, const pod::Engine& engine, const Args& args, const RegistryAccess& registry,
                  std::vector<pod::AppRequest>& apps, const std::vector<std::string>& signatures,
                  const std::function<void()>& before_end = {});

}  // namespace cooper::cli
