// A request becomes decisions: image defaults merged with the user's wishes. Pure; files and images are read by
// prepare.cpp.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "image/store.h"
#include "pod/pod.h"
#include "spec/oci_image/types.h"
#include "stage1/flavor.h"

namespace cooper::pod {

// What can be refused before anything is touched.
Status check_request(const PodRequest& request);

// The name of an app: as asked (an error when invalid or taken), else from the image's name, with a number when that is
// taken.
Result<std::string> choose_app_name(const AppRequest& request, const image::Image& image,
                                    const std::set<std::string>& taken);

// The same from a word that the name is made of: the name of an image's file without its ending.
Result<std::string> choose_app_name(const AppRequest& request, std::string_view base,
                                    const std::set<std::string>& taken);
std::string_view name_of_file(std::string_view path);

struct ImageFacts {
  const oci_image::ImageConfig& config;
  const image::ResolvedUser& user;
};
// Everything but the paths of the root file system and the text of a seccomp profile. Volumes without a source become
// volumes of the pod, numbered from next_volume on. Errors say which wish cannot be met.
Result<stage1::App> resolve_app(const AppRequest& request, const ImageFacts& image, const std::string& name,
                                const std::string& hostname, int& next_volume);

// ENTRYPOINT and CMD as docker combines them. Errc::kInvalidArgument when nothing is left to run.
Result<std::vector<std::string>> resolve_args(const AppRequest& request, const oci_image::ImageConfig& image);
std::vector<std::string> resolve_env(const AppRequest& request, const oci_image::ImageConfig& image,
                                     const std::string& hostname, const std::string& home);
// The file named by seccomp=FILE; empty when there is none.
Result<std::string> seccomp_file_of(const AppRequest& request);

}  // namespace cooper::pod
