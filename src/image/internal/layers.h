// Reads layers once, doing everything at the same time: check the digest of the compressed bytes, keep a copy of them,
// decompress, check the diff_id, and unpack into a tree. Three threads, a fourth beside cooper-inflate, and one that
// writes large images to the disk meanwhile; nothing is left running on return. Memory: about 10 MiB.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/ids.h"
#include "codec/compression.h"
#include "codec/stream.h"
#include "image/internal/tree_builder.h"
#include "image/progress.h"

namespace cooper::image {

struct LayerInput {
  std::string what;                           // "layer 1 of 3 (sha256:...)", for messages
  std::unique_ptr<codec::ByteSource> source;  // the bytes as they are stored, compressed or not
  std::optional<Digest> digest = {};          // what they must be
  std::optional<std::uint64_t> size_bytes = {};
  std::uint64_t likely_bytes = 0;                         // to show, where size_bytes does not say it
  std::optional<Digest> diff_id = {};                     // digest of the uncompressed tar
  UniqueFd copy = {};                                     // the stored bytes are written here; none: they are not kept
  std::size_t max_window_bytes = codec::kMaxWindowBytes;  // of zstd
};

struct LayerOutput {
  Digest digest;
  std::uint64_t size_bytes = 0;
  Digest diff_id;
  codec::Compression compression = codec::Compression::kNone;
  std::uint64_t plain_bytes = 0;  // of the uncompressed tar
};

// How much of an input was read. Called on one thread at a time, not always the calling one.
using LayerProgress = std::function<void(std::size_t input, std::uint64_t done_bytes)>;
// Tells `progress`, which must outlive it, of all inputs now, and of each while it is read.
LayerProgress show_layers(const Progress& progress, std::span<const LayerInput> inputs);

// `builder` may be null: digests are checked and copies made, nothing is unpacked. Its finish() is called at the end.
// `synced` is a directory of the file system that the caller is going to sync at the end, where it does.
// Errc::kCorrupt for any digest or size that is wrong, which takes precedence over what the wrong bytes led to.
Result<std::vector<LayerOutput>> process_layers(std::vector<LayerInput> inputs, TreeBuilder* builder,
                                                const LayerProgress& progress, BorrowedFd synced = BorrowedFd(-1));

}  // namespace cooper::image
