// Reading and validating image manifests. Input is hostile: bounded in size, every field typed and checked. Errors name
// `what` and the JSON pointer of the offending value.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/error.h"
#include "codec/json.h"
#include "spec/appc/types.h"

namespace cooper::spec::appc {

// Larger manifests are refused with Errc::kLimit.
inline constexpr std::size_t kMaxManifestBytes = std::size_t{4} << 20;

// Fields nobody knows are passed over.
Result<ImageManifest> parse_image_manifest(std::string text, std::string_view what);

}  // namespace cooper::spec::appc
