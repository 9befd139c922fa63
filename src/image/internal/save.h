// The forms in which images leave the store.
#pragma once

#include "base/error.h"
#include "base/fd.h"
#include "image/internal/package.h"
#include "image/internal/pinned.h"
#include "image/save.h"

namespace cooper::image {

struct SaveSteps {
  std::function<ReadStep(const PinnedBlob& blob)> counted;  // of bytes that are progress
  ReadStep only;                                            // of bytes that are read once more
  Progress progress = {};                                   // of what else has to be done
};

// An OCI layout: manifests, configurations and layers byte for byte as they are stored, each once; index.json has one
// entry a name.
Status write_oci_layout(const Pinned& pinned, Package& package, const SaveSteps& steps);
// skopeo's dir: one image, as it is stored, and no name.
Status write_skopeo_directory(const Pinned& pinned, Package& package, const SaveSteps& steps);
// docker-archive: layers uncompressed under their diff ids, each once.
Status write_docker_archive(const Pinned& pinned, Package& package, const SaveSteps& steps);

Result<SaveResult> save_images(BorrowedFd store, const SaveOptions& options);

}  // namespace cooper::image
