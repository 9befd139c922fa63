// An image of the App Container kind comes into the store, and so does what it depends on and the store lacks.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/cooper/aci_fetch.h"
#include "cli/cooper/command.h"
#include "image/store.h"

namespace cooper::cli {

struct AciWish {
  AciRequest request;
  RegistryAccess registry = {};
  std::string signature_policy = {};      // --signature-policy
  std::function<void()> before_end = {};  // called before a signal that cancelled it ends the process
};

// Errc::kCancelled never comes back: the process ends by the signal that cancelled it.
Result<std::vector<image::Image>> bring_aci(const Context& context, image::Store& store, AciWish wish);

// For people, on standard error.
Status print_signatures(const FetchedAci& fetched);

}  // namespace cooper::cli
