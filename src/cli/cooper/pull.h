// Images from registries: the verb, and what run needs of it.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>

#include "base/error.h"
#include "cli/cooper/command.h"
#include "cli/cooper/registry_session.h"
#include "image/store.h"
#include "pod/pod.h"

namespace cooper::cli {

// --platform --arch --os, beside kRegistryFlags and kPolicyFlags
extern const std::array<Flag, 3> kPullFlags;
// What these flags ask for; none: nothing is said.
Result<std::optional<oci_image::Platform>> platform_flags(const Args& args);

struct WantedImage {
  std::string image = {};  // as the user wrote it
  std::optional<oci_image::Platform> platform = {};
  RegistryAccess access = {};
  std::string signature_policy = {};      // --signature-policy
  bool mend = false;                      // as image::PullOptions has it
  std::function<void()> before_end = {};  // called before a signal that cancelled the pull ends the process
};

// Shows progress on standard error. What the policy does not let in is Errc::kPermission. Errc::kCancelled never comes
// back: the process ends by the signal that cancelled the pull, after everything was taken away.
Result<image::PullResult> pull_image(const Context& context, image::Store& store, const WantedImage& request);

// What fetches the images of pods, each as `wanted` says but for its name. `context` must outlive it.
pod::FetchImage image_fetcher(const Context& context, WantedImage wanted = {});

// Loads what oci:DIR[:IMAGE] and the like name, as pull() does, one image for each app, which is then called by its own
// name.
Status bring_places(const Context& context, const pod::Engine& engine, WantedImage wanted,
                    std::vector<pod::AppRequest>& apps);

// cooper image pull
Result<int> pull(const Context& context, const Args& args);

}  // namespace cooper::cli
