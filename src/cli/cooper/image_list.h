// cooper image ls
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/cooper/command.h"
#include "image/store.h"

namespace cooper::cli {

// --all --quiet --digests --size --no-trunc --full --noheading --no-legend --fields --filter --sort --order
extern const std::array<Flag, 12> kLsFlags;

// Leaves the images that have a name which is meant by `text`: a repository, a name with its tag, or a pattern. Of each
// only those names stay.
Status keep_named(std::vector<image::Image>& images, const std::string& text);
// KEY=VALUE of --filter: dangling, reference, id, label, until (created before), before and since (created before or
// after an image among them). All must hold; references are alternatives.
using LabelsOf = std::function<std::map<std::string, std::string>(const image::Image&)>;
Status filter_images(std::vector<image::Image>& images, const std::vector<std::string>& filters,
                     const LabelsOf& labels_of = {});
// By "created", "id", "lastused", "loaded", "name" or "size", or several with commas between them; times and sizes
// begin with the newest and the largest. `order`: "asc", "desc", or empty.
Status sort_images(std::vector<image::Image>& images, const std::string& keys, const std::string& order = {});

// Bytes of layers that other images of `all` have, too, and of those that none has; only of images whose record knows
// the sizes of its layers.
struct SizeShare {
  std::uint64_t shared_bytes = 0;
  std::uint64_t unique_bytes = 0;
};
std::map<Digest, SizeShare> size_shares(const std::vector<image::Image>& all);

Result<int> list_images(const Context& context, const Args& args);

}  // namespace cooper::cli
