// docker's configuration instructions for `image import --change`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "spec/oci_image/types.h"

namespace cooper::image {

// CMD, ENTRYPOINT (JSON array or shell form), ENV, LABEL, EXPOSE, VOLUME, USER, WORKDIR, STOPSIGNAL; keywords in any
// case. Errc::kInvalidArgument names the instruction.
Status apply_change(std::string_view change, oci_image::ImageConfig& config);

}  // namespace cooper::image
