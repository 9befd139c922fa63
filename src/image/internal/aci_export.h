// An image of the store as an ACI: one archive of all its files, by the rules of docker2aci.
#pragma once

#include <string>

#include "base/error.h"
#include "base/fd.h"
#include "codec/stream.h"
#include "image/internal/pinned.h"
#include "image/internal/save.h"
#include "image/store.h"
#include "spec/appc/types.h"
#include "spec/oci_image/types.h"

namespace cooper::image {

// The image's manifest. `name` is its full name in the store, or empty; `user` are the ids of its user.
appc::ImageManifest aci_manifest_of(const Image& image, const oci_image::ImageConfig& config, const std::string& name,
                                    const ResolvedUser& user);

// The same of an image of the store, whose files are in `rootfs`.
Result<appc::ImageManifest> aci_manifest_of_stored(BorrowedFd store, const Image& image, const std::string& name,
                                                   BorrowedFd rootfs);

// An ACI of the store comes out as it was, uncompressed; of others the layers are unpacked for it. The bytes written.
Result<std::uint64_t> write_aci(BorrowedFd store, const PinnedImage& pinned, codec::ByteSink& sink,
                                const SaveSteps& steps);

}  // namespace cooper::image
