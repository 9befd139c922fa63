// Where images are by the administrator's word, instead of that of their domain: files of paths.d.
//
//   {"images": [{"prefix": "example.com/team",
//                "templates": ["/srv/images/{name}-{version}-{os}-{arch}.{ext}",
//                "https://mirror.example/{name}.{ext}"]}]}
//
// A prefix ends where a part of a name does; "" is every name. A template is an absolute path or an address, and its
// variables are those of discovery (discovery.h). Pure: who reads files is not of interest here.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "spec/appc/discovery.h"

namespace cooper::spec::appc {

inline constexpr std::size_t kMaxPathsBytes = std::size_t{1} << 20;

struct ImagePaths {
  std::string prefix;
  std::vector<std::string> templates;
  std::string file;  // that says so, for messages
  bool operator==(const ImagePaths&) const = default;
};
// Strict: a member that is unknown, missing or there twice makes the whole file invalid. `file` names it.
Result<std::vector<ImagePaths>> parse_image_paths(std::string text, const std::string& file);

// The entries of the longest prefix that the name has, in their order; empty: nobody has said anything about it.
std::vector<const ImagePaths*> paths_about(const std::vector<ImagePaths>& paths, std::string_view name);

// A template with the name's values; addresses have them escaped. nullopt: a variable has no value. In a path
// Errc::kInvalidArgument for a value that would lead elsewhere: that holds a slash, or is a directory's dots.
Result<std::optional<ImagePlace>> place_at(const std::string& pattern, const ImageName& name, std::string_view arch);

}  // namespace cooper::spec::appc
