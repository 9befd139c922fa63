// cooper image fetch.
#pragma once

#include "base/error.h"
#include "cli/cooper/command.h"
#include "image/store.h"

namespace cooper::cli {

extern const std::array<Flag, 6> kFetchFlags;
inline constexpr Flag kSignatureFlag = {
    "signature", 0, "FILE|URL", "where the signature of an ACI is (default: beside it, with .asc behind its name)",
    Flag::Complete::kFile};

// By its name: an image of the App Container kind, one of a registry, or a file; beside kPullFlags and kRegistryFlags.
Result<int> fetch_image(const Context& context, const Args& args);

// cooper image load
Result<int> load_image(const Context& context, const Args& args);

// Loads with --signature and --insecure-options: an ACI for whose name keys are trusted must be signed by one of them.
// Errc::kCancelled never comes back: the process ends by the signal that cancelled it.
Result<std::vector<image::Image>> load_checked(const Context& context, const Args& args, image::Store& store,
                                               image::LoadOptions options);
// What came into the store, as image load says it.
Status print_loaded(const Context& context, const std::vector<image::Image>& images, bool quiet);

}  // namespace cooper::cli
