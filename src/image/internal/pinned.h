// Stored images that stay readable while they are written out: links to their blobs in a job directory, so that a
// removal meanwhile takes nothing away.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/ids.h"
#include "image/internal/checked_blob.h"
#include "image/internal/job.h"
#include "image/store.h"

namespace cooper::image {

struct PinnedBlob {
  Digest digest;
  std::uint64_t size_bytes = 0;
  std::string what;  // "layer 1 of 3 (sha256:...)", for messages
};

struct PinnedLayer {
  PinnedBlob blob;
  Digest diff_id;
  std::optional<std::uint64_t> plain_bytes = {};  // uncompressed, when that is known
};

struct PinnedImage {
  Image image;  // given_names: those under which it was asked for
  std::string manifest_type;
  PinnedBlob manifest;
  PinnedBlob config;
  std::vector<PinnedLayer> layers = {};
};

class Pinned {
 public:
  // An image that is named by an id or a digest is asked for under all its names. Each image once. Errc::kNotFound and
  // Errc::kCorrupt for blobs that are missing or have another size than the manifest says.
  static Result<Pinned> take(BorrowedFd store, std::span<const std::string> references);

  const std::vector<PinnedImage>& images() const { return images_; }
  Result<CheckedBlob> open(const PinnedBlob& blob, ReadStep step) const;
  // Of a single one: as if it had been asked for under this name.
  void call_it(const std::string& name) { images_.front().image.given_names = {name}; }

 private:
  explicit Pinned(Job job) : job_(std::move(job)) {}
  Status pin(BorrowedFd store, PinnedImage& image);
  Status pin_blob(BorrowedFd store, const PinnedBlob& blob);

  Job job_;
  std::vector<PinnedImage> images_;
};

// The image's documents, read and checked; its blobs are where they are.
Result<PinnedImage> describe_stored(BorrowedFd store, const Image& image);
Result<CheckedBlob> open_stored(BorrowedFd store, const PinnedBlob& blob, ReadStep step);

}  // namespace cooper::image
