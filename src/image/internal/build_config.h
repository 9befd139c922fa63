// The documents of an image that is built here.
#pragma once

#include <string>

#include "base/error.h"
#include "image/build.h"
#include "spec/oci_image/types.h"

namespace cooper::image {

// Errc::kInvalidArgument names what is wrong.
Status apply_config(const BuildConfig& changes, oci_image::ImageConfig& config);

// The configuration as text, with what the base's says beyond what ImageConfig holds: health checks, shells, triggers.
Result<std::string> print_over_base(const oci_image::ImageConfig& config, const std::string& base_bytes);

// RFC 3339, in UTC. Errc::kInvalidArgument for what is not from 1970 to 9999.
Result<std::string> rfc3339(std::int64_t unix_s);

}  // namespace cooper::image
