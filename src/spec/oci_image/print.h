// Writing image documents: compact JSON with members in the order of the specification, equal values give equal bytes.
#pragma once

#include <string>

#include "spec/oci_image/types.h"

namespace cooper::spec::oci_image {

std::string print(const Index& index);
std::string print(const Manifest& manifest);
std::string print(const ImageConfig& config);
// "linux/arm/v7"; "unknown" for missing parts.
std::string to_string(const Platform& platform);

}  // namespace cooper::spec::oci_image
