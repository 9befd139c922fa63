// cooper image fetch.
#pragma once

#include "base/error.h"
#include "cli/cooper/command.h"
#include "image/store.h"

namespace cooper::cli {

extern const std::array<Flag, 3> kFetchFlags;

// By its name: an image of the App Container kind, one of a registry, or a file; beside kPullFlags and kRegistryFlags.
Result<int> fetch_image(const Context& context, const Args& args);

// cooper image load
Result<int> load_image(const Context& context, const Args& args);
// What came into the store, as image load says it.
Status print_loaded(const Context& context, const std::vector<image::Image>& images, bool quiet);

}  // namespace cooper::cli
