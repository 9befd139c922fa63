// How two file trees differ: those of two images, or one that is on the disk from what it should be. Directories count
// as their names, modes, owners, times and attributes, not as what is in them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cooper::image {

enum class Aspect {
  kType,
  kContent,
  kSize,
  kMode,
  kOwner,
  kModified,   // the time
  kAttribute,  // an extended one
  kTarget,     // of a symbolic link
  kDevice,     // its numbers
  kLinks,      // how many names the file has
  kLinkedTo,   // another name of the same file
  kUnreadable,
};
std::string_view to_string(Aspect aspect);

struct AspectChange {
  Aspect aspect;
  // Absent: there is none, or nothing that could be told in words (the content).
  std::optional<std::string> before = {};
  std::optional<std::string> after = {};
  std::string name = {};  // of an attribute; its values are hexadecimal
};

struct PathChange {
  enum class Kind { kAdded, kChanged, kRemoved };
  Kind kind;
  std::string path;       // from the root: "/usr/bin/env"
  std::string_view type;  // "file", "directory", ...: of what is there, or was
  std::vector<AspectChange> aspects = {};
};

}  // namespace cooper::image
