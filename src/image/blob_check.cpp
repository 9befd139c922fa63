#include "image/internal/blob_check.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "image/internal/paths.h"
#include "image/internal/trees.h"
#include "io/file.h"
#include "spec/oci_image/parse.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

using State = VerifiedBlob::State;

// Says something about this process or the machine, and nothing about a blob.
bool is_failure(const Error& error) {
  constexpr std::array<int, 3> kShortage = {EMFILE, ENFILE, ENOMEM};
  return error.code() == Errc::kCancelled || std::ranges::find(kShortage, error.errno_value()) != kShortage.end();
}

State state_of(const Error& error) {
  if (error.errno_value() == ENOENT) return State::kMissing;
  return error.code() == Errc::kCorrupt || error.code() == Errc::kLimit ? State::kCorrupt : State::kUnreadable;
}

// Remembers what its source said, which whoever reads through it may take for something else.
class Witness final : public codec::ByteSource {
 public:
  explicit Witness(codec::ByteSource& source) : source_(source) {}
  Result<std::size_t> read(std::span<char> buffer) override {
    if (failed_) return Error(Errc::kCorrupt, "the layer cannot be read");
    auto got = source_.read(buffer);
    if (got.ok()) return got;
    failed_ = std::move(got).error();
    return Error(failed_->code(), failed_->message(), failed_->errno_value());
  }
  Status drain() {
    std::vector<char> buffer(std::size_t{128} << 10);
    while (!failed_) {
      ASSIGN_OR_RETURN(const std::size_t n, read(buffer));
      if (n == 0) break;
    }
    return failed_ ? Status(std::move(*failed_)) : ok_status();
  }

 private:
  codec::ByteSource& source_;
  std::optional<Error> failed_;
};

}  // namespace

BlobCheck::BlobCheck(BorrowedFd store, const ReadWatch& watch) : store_(store), watch_(watch) {
  step_ = [this](std::uint64_t bytes) -> Status {
    Amount& amount = amounts_[shown_];
    amount.done += bytes;
    if (watch_.cancelled && watch_.cancelled()) return Error(Errc::kCancelled, "reading was cancelled", ECANCELED);
    if (watch_.progress) watch_.progress(shown_, amount.done, std::max(amount.done, amount.likely));
    return {};
  };
}

void BlobCheck::announce(const std::string& what, std::uint64_t likely_bytes) {
  Amount& amount = amounts_[what];
  amount.likely = likely_bytes;
  if (watch_.progress) watch_.progress(what, amount.done, std::max(amount.done, amount.likely));
}

void BlobCheck::end(const std::string& what) const {
  const auto amount = amounts_.find(what);
  if (watch_.progress && amount != amounts_.end()) watch_.progress(what, amount->second.done, amount->second.done);
}

Result<bool> BlobCheck::is_missing(VerifiedImage& report, const Digest& digest) {
  ASSIGN_OR_RETURN(const io::FileLock guard, take_lock(store_, kStoreLock, io::FileLock::Mode::kShared));
  ASSIGN_OR_RETURN(const bool known, is_there(store_, image_record_path(report.image.id)));
  report.removed = !known;
  ASSIGN_OR_RETURN(const bool back, is_there(store_, blob_path(digest)));
  return !back;
}

Status BlobCheck::look_at(VerifiedImage& report, std::size_t index, const Read& read, bool may_reread) {
  VerifiedBlob& blob = report.blobs[index];
  Known known{.blob = blob};
  for (int attempt = 0; attempt < 3; ++attempt) {
    auto file = sys::openat(store_, blob_path(blob.digest), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    const bool opened = file.ok();
    if (opened) {
      ASSIGN_OR_RETURN(known.file, sys::fstat(*file));
    }
    Status done = opened ? read(std::move(*file)) : Status(std::move(file).error());
    if (!done.ok() && is_failure(done.error())) return done;
    known.blob.state = done.ok() ? State::kGood : state_of(done.error());
    known.blob.message = done.ok() ? "" : done.error().message();
    if (known.blob.state == State::kUnreadable && opened && may_reread) {
      may_reread = false;
      continue;
    }
    if (known.blob.state != State::kMissing) break;
    known.blob.message = blob.what + " is missing";
    ASSIGN_OR_RETURN(const bool missing, is_missing(report, blob.digest));
    if (report.removed) return {};
    if (missing) break;
  }
  blob = known.blob;
  known_.insert_or_assign(blob.digest, std::move(known));
  return {};
}

Result<std::optional<std::string>> BlobCheck::read_document(VerifiedImage& report, std::size_t index) {
  std::optional<std::string> bytes;
  const VerifiedBlob& blob = report.blobs[index];
  Status looked = look_at(report, index, [&](const UniqueFd& file) -> Status {
    ASSIGN_OR_RETURN(std::string all, io::read_all(file, oci_image::kMaxDocumentBytes));
    RETURN_IF_ERROR(step_(all.size()));
    RETURN_IF_ERROR(codec::check_digest(all, blob.digest, blob.what));
    bytes = std::move(all);
    return {};
  });
  RETURN_IF_ERROR(std::move(looked));
  if (report.removed || blob.state != State::kGood) return std::optional<std::string>();
  return bytes;
}

Status BlobCheck::read(VerifiedImage& report, std::size_t index, std::optional<std::uint64_t> size_bytes) {
  VerifiedBlob& blob = report.blobs[index];
  if (const auto known = known_.find(blob.digest); known != known_.end()) {
    const std::string what = blob.what;
    blob = known->second.blob;
    blob.what = what;
    return {};
  }
  return look_at(report, index, [&](UniqueFd file) -> Status {
    ASSIGN_OR_RETURN(const struct stat info, sys::fstat(file));
    const std::uint64_t size = size_bytes.value_or(static_cast<std::uint64_t>(info.st_size));
    return CheckedBlob(std::move(file), blob.digest, size, blob.what, step_).drain();
  });
}

Result<std::optional<std::string>> BlobCheck::read_layer(VerifiedImage& report, std::size_t index,
                                                         std::uint64_t size_bytes, const Digest& diff_id,
                                                         FileModel& model) {
  const VerifiedBlob& blob = report.blobs[index];
  std::optional<std::string> refused;
  const Read read = [&](UniqueFd file) -> Status {
    ASSIGN_OR_RETURN(
        const auto plain,
        PlainLayer::open(CheckedBlob(std::move(file), blob.digest, size_bytes, blob.what, step_), diff_id));
    Witness witness(*plain);
    codec::BufferedBlocks blocks(witness);
    Status applied = model.apply(blocks);
    RETURN_IF_ERROR(witness.drain());
    if (!applied.ok()) refused = applied.error().message();
    return {};
  };
  RETURN_IF_ERROR(look_at(report, index, read, false));
  return refused;
}

Status BlobCheck::take_away(VerifiedImage& report) {
  for (VerifiedBlob& blob : report.blobs) {
    // Of one that cannot be read nobody knows that it is wrong.
    if (blob.state != State::kCorrupt) continue;
    Known& known = known_.at(blob.digest);
    if (!known.blob.taken_away && known.file) {
      // Nobody puts another one in its place meanwhile.
      ASSIGN_OR_RETURN(const io::FileLock guard, take_lock(store_, kStoreLock, io::FileLock::Mode::kExclusive));
      const auto there = sys::fstatat(store_, blob_path(blob.digest));
      const bool same = there.ok() && there->st_ino == known.file->st_ino && there->st_dev == known.file->st_dev;
      if (same) RETURN_IF_ERROR(sys::unlinkat(store_, blob_path(blob.digest)));
      known.blob.taken_away = same;
    }
    blob.taken_away = known.blob.taken_away;
  }
  return {};
}

}  // namespace cooper::image
