// cooper image build-from-dir.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "base/error.h"
#include "cli/cooper/command.h"
#include "image/build.h"

namespace cooper::cli {

extern const std::array<Flag, 22> kBuildFlags;

// `source_date_epoch`: the variable SOURCE_DATE_EPOCH, which reproducible-builds.org describes.
Result<image::BuildOptions> build_options(const Args& args, const std::optional<std::string>& source_date_epoch,
                                          std::int64_t now_ns);

Result<int> build_from_dir(const Context& context, const Args& args);

}  // namespace cooper::cli
