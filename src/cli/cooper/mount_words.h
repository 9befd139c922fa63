// The words after a mount of --volume, --mount and --tmpfs: known ones only, and no two that contradict each other.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace cooper::cli {

enum class MountSort { kBind, kTmpfs };

// Errc::kInvalidArgument names `flag`, its `text` and the word; the hint has the known words.
Status check_mount_words(const std::vector<std::string>& words, MountSort sort, std::string_view flag,
                         std::string_view text);

}  // namespace cooper::cli
