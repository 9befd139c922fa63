// What short names stand for besides localhost/ and docker.io/, which the store asks when it has neither.
#pragma once

#include <functional>
#include <vector>

#include "spec/oci_image/reference.h"
#include "spec/oci_image/types.h"

namespace cooper::image {

using ShortNames = std::function<std::vector<oci_image::Reference>(const oci_image::Reference&)>;
// Of the whole process; before any store is used.
void set_short_names(ShortNames names);

}  // namespace cooper::image
