// Writing image documents: compact JSON with members in the order of the specification, equal values give equal bytes.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "spec/oci_image/types.h"

namespace cooper::spec::oci_image {

std::string print(const Index& index);
std::string print(const Manifest& manifest);
std::string print(const ImageConfig& config);
// manifest.json of docker-archive.
std::string print(const std::vector<DockerArchiveEntry>& entries);
// The "repositories" of docker-archive: by repository and tag the last layer of the image.
std::string print_docker_repositories(const std::map<std::string, std::map<std::string, std::string>>& repositories);
// {"imageLayoutVersion":"1.0.0"}
std::string print_layout_file();
// "linux/arm/v7"; "unknown" for missing parts.
std::string to_string(const Platform& platform);

}  // namespace cooper::spec::oci_image
