#include "image/internal/checked_blob.h"

#include <algorithm>
#include <vector>

#include "sys/file.h"

namespace cooper::image {
namespace {

constexpr std::size_t kReadBytes = std::size_t{256} << 10;

}  // namespace

Error of_blob(Error error, const std::string& what) {
  return error.message().starts_with(what) ? std::move(error) : std::move(error).with(what);
}

CheckedBlob::CheckedBlob(UniqueFd file, const Digest& digest, std::uint64_t size_bytes, std::string what, ReadStep step)
    : file_(std::move(file)),
      digest_(digest),
      size_bytes_(size_bytes),
      what_(std::move(what)),
      step_(std::move(step)),
      hasher_(digest) {}

Error CheckedBlob::size_error() const {
  return Error(Errc::kCorrupt, what_ + " is corrupt: it has " + (done_ > size_bytes_ ? "more than " : "only ") +
                                   std::to_string(std::min(done_, size_bytes_)) + " bytes, not " +
                                   std::to_string(size_bytes_));
}

Result<std::size_t> CheckedBlob::read(std::span<char> buffer) {
  if (ended_ || buffer.empty()) return std::size_t{0};
  auto got = sys::read(file_, buffer);
  if (!got.ok()) return std::move(got).error().with(what_);
  if (*got == 0) {
    if (done_ != size_bytes_) return size_error();
    const Digest actual = hasher_.finish();
    ended_ = true;
    if (actual != digest_) return codec::digest_mismatch(digest_, actual, what_);
    return std::size_t{0};
  }
  done_ += *got;
  if (done_ > size_bytes_) return size_error();
  hasher_.update({buffer.data(), *got});
  if (step_) RETURN_IF_ERROR(step_(*got));
  return got;
}

Status CheckedBlob::drain() {
  std::vector<char> buffer(kReadBytes);
  while (true) {
    ASSIGN_OR_RETURN(const std::size_t n, read(buffer));
    if (n == 0) return {};
  }
}

PlainLayer::PlainLayer(CheckedBlob stored, const Digest& diff_id)
    : stored_(std::move(stored)), diff_id_(diff_id), hasher_(diff_id) {}

Result<std::unique_ptr<PlainLayer>> PlainLayer::open(CheckedBlob stored, const Digest& diff_id) {
  // Not make_unique: the constructor is private. The object must not move: plain_ refers to stored_.
  std::unique_ptr<PlainLayer> layer(new PlainLayer(std::move(stored), diff_id));
  auto plain = codec::Decompressor::create(layer->stored_);
  if (!plain.ok()) return std::move(plain).error();
  layer->plain_ = std::move(*plain);
  return layer;
}

Result<std::size_t> PlainLayer::read(std::span<char> buffer) {
  if (ended_ || buffer.empty()) return std::size_t{0};
  auto got = plain_->read(buffer);
  if (!got.ok()) {
    if (got.error().code() != Errc::kCorrupt) return got;
    // A wrong digest tells more than a broken stream.
    RETURN_IF_ERROR(stored_.drain());
    return of_blob(std::move(got).error(), stored_.what());
  }
  if (*got != 0) {
    hasher_.update({buffer.data(), *got});
    return got;
  }
  RETURN_IF_ERROR(stored_.drain());
  ended_ = true;
  const Digest actual = hasher_.finish();
  if (actual != diff_id_) return codec::digest_mismatch(diff_id_, actual, stored_.what() + ", uncompressed,");
  return std::size_t{0};
}

Result<std::uint64_t> PlainLayer::measure() {
  std::vector<char> buffer(kReadBytes);
  std::uint64_t total = 0;
  while (true) {
    ASSIGN_OR_RETURN(const std::size_t n, read(buffer));
    if (n == 0) return total;
    total += n;
  }
}

}  // namespace cooper::image
