// cooper image verify and image diff: what is wrong with images, and how two of them differ.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/cooper/command.h"
#include "image/verify.h"

namespace cooper::cli {

// --repair --lines --quiet
extern const std::array<Flag, 3> kVerifyFlags;

// The exit status of verify when an image is damaged.
inline constexpr int kExitDiffers = 2;

// "content, size is 12, not 10, mode is 0666, not 0644"
std::string print_aspects(const std::vector<image::AspectChange>& aspects);
// For people: what is wrong with the image, at most `lines` paths of it (0: all), and what to do about it. With `quiet`
// nothing of an image that is good.
std::string print_verified(const image::VerifiedImage& image, std::size_t lines, bool quiet);
// "C /etc/passwd", with what has changed behind it.
std::string print_change(const image::PathChange& change);

Result<int> verify(const Context& context, const Args& args);
Result<int> diff(const Context& context, const Args& args);

}  // namespace cooper::cli
