// Images to registries.
#pragma once

#include <array>
#include <string>

#include "base/error.h"
#include "cli/cooper/command.h"
#include "spec/oci_image/reference.h"
#include "spec/oci_image/types.h"

namespace cooper::cli {

// --digestfile, beside kRegistryFlags
extern const std::array<Flag, 1> kPushFlags;

// What DESTINATION names: [docker://]registry/name[:tag]. Exposed for tests.
Result<oci_image::Reference> push_destination(const std::string& text);

// cooper image push
Result<int> push(const Context& context, const Args& args);

}  // namespace cooper::cli
