// What is asked of an image's configuration: docker's instructions, and single values.
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

// Single values of a configuration. Errc::kInvalidArgument says what is wrong with one, not where it stands.
Status add_port(std::string_view text, oci_image::ImageConfig& config);  // "80", "53/udp"
Status add_volume(std::string path, oci_image::ImageConfig& config);
void set_env(std::string_view key, std::string_view value, oci_image::ImageConfig& config);

}  // namespace cooper::image
