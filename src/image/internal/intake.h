// From a plan and open layers to an image in a staging area: what loading and pulling have in common.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "codec/compression.h"
#include "image/internal/layers.h"
#include "image/internal/plan.h"
#include "image/internal/staging.h"
#include "image/store.h"

namespace cooper::image {

struct OpenLayer {
  LayerInput input;
  std::uint64_t bytes = 0;  // as they are stored; 0: unknown
  // The file of the staging area that is this blob when all of it was read; none: the area has it under its name.
  std::optional<std::size_t> blob = {};
};
// All layers of the plan; asked for when the image is not there yet.
using OpenLayers = std::function<Result<std::vector<OpenLayer>>()>;

// "layer 1 of 3 (sha256:...)"
std::string layer_name(std::size_t index, std::size_t count, const LayerPlan& layer);

// Of what is stored as it came.
std::string_view layer_media_type(codec::Compression compression);

// The tree (where it can be made) and every layer of a stored image are there.
bool has_all_bytes(BorrowedFd store, const Image& image);
// The image as it is in the store, when nothing of it is missing but perhaps names.
Result<std::optional<Image>> already_there(BorrowedFd store, const ImagePlan& plan);
// Its blobs survive a removal before staging.commit(). False: one is gone already.
Result<bool> pin_image(BorrowedFd store, Staging& staging, const Image& image);

// Reads, checks and unpacks what is missing; what belongs to owners without an id in this user namespace is stored
// alone. The image is there after staging.commit(). Its names are the plan's.
Result<Image> take_in(BorrowedFd store, Staging& staging, const ImagePlan& plan, const OpenLayers& open,
                      const Progress& progress);

}  // namespace cooper::image
