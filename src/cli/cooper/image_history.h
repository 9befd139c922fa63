// What an image was made of: the steps of its configuration, each with the layer it has made.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/cooper/command.h"
#include "image/usage.h"
#include "spec/oci_image/types.h"

namespace cooper::cli {

// --no-trunc --quiet
extern const std::array<Flag, 2> kHistoryFlags;

struct HistoryStep {
  oci_image::History entry;
  std::optional<image::LayerSize> layer = {};  // none: nothing changed in the file system
};
// Newest first. Steps that claim a layer get them in order; layers no step claims (the history may be missing or cut)
// get steps of their own, about which nothing is known, on top.
std::vector<HistoryStep> history_steps(const std::vector<oci_image::History>& history,
                                       const std::vector<image::LayerSize>& layers);

// cooper image history
Result<int> history(const Context& context, const Args& args);

}  // namespace cooper::cli
