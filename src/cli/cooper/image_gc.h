// cooper image gc
#pragma once

#include <array>
#include <cstdint>

#include "base/error.h"
#include "cli/cooper/command.h"
#include "image/store.h"

namespace cooper::cli {

// --all --older --grace-period --keep --dry-run
extern const std::array<Flag, 6> kGcFlags;

Result<image::GcOptions> gc_options(const Args& args, std::int64_t now_unix_ms);
Result<int> image_gc(const Context& context, const Args& args);

}  // namespace cooper::cli
