// What shares what, and what the store takes: the verbs tree and df.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/cooper/command.h"
#include "image/store.h"
#include "image/usage.h"

namespace cooper::cli {

// --no-trunc
extern const std::array<Flag, 1> kTreeFlags;

// Who has a blob, and who has an unpacked tree.
struct Sharing {
  std::map<Digest, std::vector<const image::Image*>> layers;
  std::map<std::string, std::vector<const image::Image*>, std::less<>> trees;
};
// `all` must outlive the result.
Sharing sharing_of(const std::vector<image::Image>& all);

struct SharedLayer {
  image::LayerSize size;
  std::vector<const image::Image*> others;  // that have the same blob
};
struct ImageTree {
  const image::Image* shown;
  std::vector<SharedLayer> layers;          // base first
  std::vector<const image::Image*> others;  // that have the same unpacked tree
};
// `sizes` are those of the image's layers. The image, and what `sharing` was made of, must outlive the result.
ImageTree image_tree(const image::Image& image, const std::vector<image::LayerSize>& sizes, const Sharing& sharing);
// Lines for people.
std::string print_tree(const ImageTree& tree, bool full);
std::string print_usage(const image::StoreUsage& usage);

// cooper image tree, cooper image df
Result<int> tree(const Context& context, const Args& args);
Result<int> df(const Context& context, const Args& args);

}  // namespace cooper::cli
