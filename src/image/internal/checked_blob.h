// Bytes of the store on their way out: hashed while they are read, and never said to be complete when they are not what
// their digest says.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/fd.h"
#include "base/ids.h"
#include "codec/compression.h"
#include "codec/digest.h"
#include "codec/stream.h"

namespace cooper::image {

// Called for each piece of a blob with its size; an error ends the reading.
using ReadStep = std::function<Status(std::uint64_t bytes)>;

// The error says which blob it is about, once.
Error of_blob(Error error, const std::string& what);

// A blob as it is stored. The read that would say that the end is reached fails instead (Errc::kCorrupt) when digest or
// size are wrong.
class CheckedBlob final : public codec::ByteSource {
 public:
  // `what` names the blob in messages.
  CheckedBlob(UniqueFd file, const Digest& digest, std::uint64_t size_bytes, std::string what, ReadStep step);
  Result<std::size_t> read(std::span<char> buffer) override;
  // Passes over what is left, checking it.
  Status drain();
  const std::string& what() const { return what_; }

 private:
  Error size_error() const;

  UniqueFd file_;
  Digest digest_;
  std::uint64_t size_bytes_;
  std::string what_;
  ReadStep step_;
  codec::Hasher hasher_;
  std::uint64_t done_ = 0;
  bool ended_ = false;
};

// The tar of a layer, uncompressed; its diff id is checked likewise. Wrong stored bytes take precedence over what they
// decompress to.
class PlainLayer final : public codec::ByteSource {
 public:
  static Result<std::unique_ptr<PlainLayer>> open(CheckedBlob stored, const Digest& diff_id);
  Result<std::size_t> read(std::span<char> buffer) override;
  // Reads all of it for its size.
  Result<std::uint64_t> measure();

 private:
  PlainLayer(CheckedBlob stored, const Digest& diff_id);

  CheckedBlob stored_;
  Digest diff_id_;
  codec::Hasher hasher_;
  std::unique_ptr<codec::Decompressor> plain_;
  bool ended_ = false;
};

}  // namespace cooper::image
