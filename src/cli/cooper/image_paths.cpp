#include "cli/cooper/image_paths.h"

#include <map>

#include "base/strings.h"
#include "io/file.h"
#include "sys/file.h"

namespace cooper::cli {

Result<std::vector<appc::ImagePaths>> read_image_paths(const std::vector<std::string>& directories) {
  std::map<std::string, std::string> files;  // by name
  for (const std::string& directory : directories) {
    auto opened = sys::openat(sys::kCwd, directory, O_RDONLY | O_DIRECTORY);
    if (!opened.ok() && opened.error().code() == Errc::kNotFound) continue;
    if (!opened.ok()) return std::move(opened).error();
    ASSIGN_OR_RETURN(const auto names, sys::list_directory(*opened));
    for (const std::string& name : names) {
      if (name.ends_with(".json")) files.emplace(name, directory + "/" + name);
    }
  }
  std::vector<appc::ImagePaths> out;
  for (const auto& [name, path] : files) {
    ASSIGN_OR_RETURN(std::string text, io::read_regular_file(path, appc::kMaxPathsBytes));
    // An empty file takes away what the distribution says.
    if (trim(text).empty()) continue;
    ASSIGN_OR_RETURN(auto paths, appc::parse_image_paths(std::move(text), path));
    for (appc::ImagePaths& one : paths) out.push_back(std::move(one));
  }
  return out;
}

}  // namespace cooper::cli
