#include "image/internal/layers.h"

#include <sched.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <optional>

#include "base/strings.h"
#include "codec/digest.h"
#include "fetch/inflate.h"
#include "fetch/thread.h"
#include "image/internal/checked_blob.h"
#include "image/internal/early_sync.h"
#include "image/internal/ring.h"
#include "io/helper_program.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cooper::image {
namespace {

using codec::Compression;
using codec::Decompressor;
using codec::Hasher;
using fetch::Thread;

constexpr std::size_t kHashConsumer = 0;
constexpr std::size_t kUnpackConsumer = 1;
constexpr std::uint64_t kWritebackStep = std::uint64_t{8} << 20;
// Of smaller layers the start of a program costs more than it saves.
constexpr std::uint64_t kMinInflateBytes = std::uint64_t{1} << 20;

// By cooper-inflate where it is installed; null: by ourselves.
std::unique_ptr<codec::ByteSource> inflate_elsewhere(codec::ByteSource& compressed) {
  const auto program = io::find_helper("cooper-inflate", "", "");
  if (!program.ok()) return nullptr;
  return fetch::InflatedGzip::start(*program, compressed);
}

// Reads the stored bytes, hashing, copying and counting them on the way.
class StoredBytes final : public codec::ByteSource {
 public:
  StoredBytes(LayerInput& input, std::size_t index, const LayerProgress& progress)
      : input_(input), hasher_(input.digest ? Hasher(*input.digest) : Hasher()), index_(index), progress_(progress) {}

  Result<std::size_t> read(std::span<char> buffer) override {
    ASSIGN_OR_RETURN(const std::size_t n, input_.source->read(buffer));
    const std::string_view bytes(buffer.data(), n);
    size_ += n;
    if (input_.size_bytes && size_ > *input_.size_bytes) return size_error();
    if (hashing_) hasher_.update(bytes);
    if (input_.copy.valid()) {
      RETURN_IF_ERROR(sys::write_all(input_.copy, bytes));
      if (size_ - flushed_ >= kWritebackStep) {
        sys::start_writeback(input_.copy);
        flushed_ = size_;
      }
    }
    if (progress_) progress_(index_, size_);
    return n;
  }

  Status drain(std::span<char> buffer) {
    while (true) {
      ASSIGN_OR_RETURN(const std::size_t n, read(buffer));
      if (n == 0) return {};
    }
  }
  // Somebody else computes the same digest (of a layer that is not compressed).
  void stop_hashing() { hashing_ = false; }
  bool hashing() const { return hashing_; }
  std::uint64_t size() const { return size_; }
  Result<Digest> finish() {
    if (input_.size_bytes && size_ != *input_.size_bytes) return size_error();
    const Digest actual = hasher_.finish();
    if (hashing_ && input_.digest && actual != *input_.digest)
      return codec::digest_mismatch(*input_.digest, actual, input_.what);
    return actual;
  }

 private:
  Error size_error() const {
    return Error(Errc::kCorrupt, input_.what + " is corrupt: it has " +
                                     (size_ > *input_.size_bytes ? "more than " : "only ") +
                                     std::to_string(std::min(size_, *input_.size_bytes)) + " bytes, not " +
                                     std::to_string(*input_.size_bytes));
  }
  LayerInput& input_;
  Hasher hasher_;
  bool hashing_ = true;
  std::uint64_t size_ = 0;
  std::uint64_t flushed_ = 0;
  std::size_t index_;
  const LayerProgress& progress_;
};

class Pipeline {
 public:
  Pipeline(std::vector<LayerInput> inputs, TreeBuilder* builder, const LayerProgress& progress, BorrowedFd synced)
      : inputs_(std::move(inputs)),
        builder_(builder),
        progress_(progress),
        ring_(builder != nullptr ? 2 : 1),
        early_sync_(synced) {}

  Result<std::vector<LayerOutput>> run();

 private:
  struct Stored {
    Digest digest;
    std::uint64_t size_bytes;
    Compression compression;
    std::uint64_t plain_bytes;
  };
  Status produce();
  Result<Stored> produce_layer(std::size_t index);
  Result<std::uint64_t> fill_ring(codec::ByteSource& plain);
  Status hash();
  Status unpack();
  Status unpack_layers();

  std::vector<LayerInput> inputs_;
  TreeBuilder* builder_;
  const LayerProgress& progress_;
  Ring ring_;
  EarlySync early_sync_;
  std::vector<Stored> stored_;
  std::vector<Digest> diff_ids_;
  Status hashed_;
  Status unpacked_;
  std::atomic<bool> content_broken_ = false;
};

// Returns how many bytes there were.
Result<std::uint64_t> Pipeline::fill_ring(codec::ByteSource& plain) {
  std::uint64_t total = 0;
  while (true) {
    const std::span<char> buffer = ring_.reserve();
    if (buffer.empty()) return Error(Errc::kCancelled, "reading layers was cancelled", ECANCELED);
    ASSIGN_OR_RETURN(const std::size_t n, codec::read_full(plain, buffer));
    const bool last = n < buffer.size();
    ring_.publish(n, last);
    early_sync_.wrote(n);
    total += n;
    if (last) return total;
  }
}

Result<Pipeline::Stored> Pipeline::produce_layer(std::size_t index) {
  LayerInput& input = inputs_[index];
  StoredBytes stored(input, index, progress_);
  const bool large = !input.size_bytes || *input.size_bytes >= kMinInflateBytes;
  auto plain = Decompressor::create(stored, codec::Accept::kLayers, input.max_window_bytes,
                                    large ? inflate_elsewhere : codec::MakeGzipReader());
  if (!plain.ok()) return of_blob(std::move(plain).error(), input.what);
  const Compression compression = (*plain)->compression();
  const bool same_algorithm =
      !input.digest || !input.diff_id || input.digest->algorithm() == input.diff_id->algorithm();
  if (compression == Compression::kNone && same_algorithm) stored.stop_hashing();
  Result<std::uint64_t> filled = fill_ring(**plain);
  plain->reset();  // nobody else reads the stored bytes from here on
  if (filled.ok() || filled.error().code() == Errc::kCorrupt) {
    // What follows the compressed data, or its broken part, belongs to the stored bytes too: a wrong digest or size
    // tells more than a broken stream.
    std::vector<char> rest(std::size_t{128} << 10);
    RETURN_IF_ERROR(stored.drain(rest));
    if (!filled.ok() && !stored.hashing()) return of_blob(std::move(filled).error(), input.what);
    ASSIGN_OR_RETURN(Digest digest, stored.finish());
    if (filled.ok()) return Stored{std::move(digest), stored.size(), compression, *filled};
  }
  if (filled.error().code() == Errc::kCancelled) return std::move(filled).error();
  return of_blob(std::move(filled).error(), input.what);
}

Status Pipeline::produce() {
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    ASSIGN_OR_RETURN(Stored stored, produce_layer(i));
    if (content_broken_.load()) return Error(Errc::kCancelled, "reading layers was cancelled", ECANCELED);
    stored_.push_back(std::move(stored));
    inputs_[i].copy.reset();
    inputs_[i].source.reset();
  }
  return {};
}

Status Pipeline::hash() {
  for (const LayerInput& input : inputs_) {
    Hasher hasher = input.diff_id ? Hasher(*input.diff_id) : Hasher();
    RingBlocks blocks(ring_, kHashConsumer);
    while (true) {
      ASSIGN_OR_RETURN(const std::string_view bytes, blocks.next());
      if (bytes.empty()) break;
      hasher.update(bytes);
    }
    Digest actual = hasher.finish();
    if (input.diff_id && actual != *input.diff_id)
      return codec::digest_mismatch(*input.diff_id, actual, input.what + ", uncompressed,");
    diff_ids_.push_back(std::move(actual));
  }
  return {};
}

Status Pipeline::unpack_layers() {
  // Own umask, so that files are created with the mode they shall have; the other threads keep theirs.
  RETURN_IF_ERROR(sys::unshare(CLONE_FS));
  (void)::umask(0);
  for (const LayerInput& input : inputs_) {
    RingBlocks blocks(ring_, kUnpackConsumer);
    Status applied = builder_->apply(blocks);
    if (!applied.ok()) {
      if (applied.error().code() == Errc::kCancelled) return applied;
      return of_blob(std::move(applied).error(), input.what);
    }
    RETURN_IF_ERROR(blocks.drain());
  }
  return builder_->finish();
}

Status Pipeline::unpack() {
  Status status = unpack_layers();
  if (!status.ok() && builder_->may_give_up()) {
    builder_->give_up(std::move(status).error());
    ring_.leave(kUnpackConsumer);
    return {};
  }
  // Broken content may come from broken bytes: their digest is known only at their end.
  if (!status.ok() && status.error().code() == Errc::kCorrupt) {
    content_broken_ = true;
    ring_.leave(kUnpackConsumer);
  } else if (!status.ok()) {
    ring_.cancel();
  }
  return status;
}

Result<std::vector<LayerOutput>> Pipeline::run() {
  Status produced;
  {
    const auto hash_body = [&] {
      hashed_ = hash();
      if (!hashed_.ok()) ring_.cancel();
    };
    ASSIGN_OR_RETURN(const Thread hasher, Thread::start(hash_body));
    std::optional<Thread> unpacker;
    if (builder_ != nullptr) {
      auto thread = Thread::start([&] { unpacked_ = unpack(); });
      if (!thread.ok()) {
        ring_.cancel();
        return std::move(thread).error();
      }
      unpacker.emplace(std::move(*thread));
    }
    produced = produce();
    // Of broken content the digest, which may still be being computed, tells more than what broke.
    if (!produced.ok()) content_broken_.load() ? ring_.close() : ring_.cancel();
  }
  for (Status* status : {&produced, &hashed_, &unpacked_}) {
    if (!status->ok() && status->error().code() != Errc::kCancelled) return std::move(*status).error();
  }
  RETURN_IF_ERROR(std::move(produced));
  std::vector<LayerOutput> out;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    const LayerInput& input = inputs_[i];
    Digest digest = stored_[i].digest;
    if (stored_[i].compression == Compression::kNone &&
        (!input.digest || input.digest->algorithm() == diff_ids_[i].algorithm())) {
      digest = diff_ids_[i];
      if (input.digest && digest != *input.digest) return codec::digest_mismatch(*input.digest, digest, input.what);
    }
    out.push_back(
        {std::move(digest), stored_[i].size_bytes, diff_ids_[i], stored_[i].compression, stored_[i].plain_bytes});
  }
  return out;
}

}  // namespace

LayerProgress show_layers(const Progress& progress, std::span<const LayerInput> inputs) {
  if (!progress) return {};
  constexpr std::size_t kShownDigits = 12;
  struct Line {
    std::string what;
    std::uint64_t bytes;
  };
  std::vector<Line> lines;
  for (const LayerInput& input : inputs) {
    const auto& digest = input.digest ? input.digest : input.diff_id;
    lines.push_back({digest ? std::string(digest->hex().substr(0, kShownDigits))
                            : "layer " + std::to_string(lines.size() + 1) + " of " + std::to_string(inputs.size()),
                     input.size_bytes.value_or(input.likely_bytes)});
    progress(lines.back().what, 0, lines.back().bytes);
  }
  return [&progress, lines = std::move(lines)](std::size_t input, std::uint64_t done) {
    progress(lines[input].what, done, lines[input].bytes);
  };
}

Result<std::vector<LayerOutput>> process_layers(std::vector<LayerInput> inputs, TreeBuilder* builder,
                                                const LayerProgress& progress, BorrowedFd synced) {
  if (inputs.empty()) {
    if (builder != nullptr) RETURN_IF_ERROR(builder->finish());
    return std::vector<LayerOutput>();
  }
  return Pipeline(std::move(inputs), builder, progress, synced).run();
}

}  // namespace cooper::image
