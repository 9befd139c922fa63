// Writing image manifests: compact JSON with members in the order of the specification; equal values give equal bytes.
#pragma once

#include <string>

#include "spec/appc/types.h"

namespace cooper::spec::appc {

std::string print(const ImageManifest& manifest);

}  // namespace cooper::spec::appc
