// The one image of several that a source holds: LoadOptions.only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "spec/oci_image/parse.h"
#include "spec/oci_image/types.h"

namespace cooper::image {

// Empty: it has none.
std::string annotation_of(const oci_image::Descriptor& descriptor, std::string_view key);

// What has the wanted name, of several platforms all; everything when `only` is empty. Errc::kNotFound lists the names.
Result<oci_image::Index> select_image(oci_image::Index index, const std::string& only);
// The entry that has it, with that name alone; chosen by its place, with all its names.
Status select_image(std::vector<oci_image::DockerArchiveEntry>& entries, const std::string& only);

// There are so many of which none was chosen.
Error several_images(const std::vector<std::string>& names, std::size_t images);

}  // namespace cooper::image
