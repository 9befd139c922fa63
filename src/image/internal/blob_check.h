// Reads the blobs of images to see whether they are what their digests say, each once however many images have it.
// What is wrong with one is a finding and no failure; failures are those that say nothing about a blob.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/fd.h"
#include "base/ids.h"
#include "codec/stream.h"
#include "image/internal/checked_blob.h"
#include "image/internal/file_model.h"
#include "image/verify.h"

namespace cooper::image {

// The functions set the state of report.blobs[index], or report.removed when the image has gone meanwhile.
class BlobCheck {
 public:
  BlobCheck(BorrowedFd store, const ReadWatch& watch);

  // For the watch: what will be read, what is being read, and what has been.
  void announce(const std::string& what, std::uint64_t likely_bytes);
  void begin(std::string what) { shown_ = std::move(what); }
  void end(const std::string& what) const;
  // Counts bytes and asks whether to go on.
  const ReadStep& step() const { return step_; }

  // The bytes; nullopt when they are not good.
  Result<std::optional<std::string>> read_document(VerifiedImage& report, std::size_t index);
  Status read(VerifiedImage& report, std::size_t index, std::optional<std::uint64_t> size_bytes);
  // The layer goes into the model, too, of which nothing can be used when the blob is not good.
  // What is said when its content cannot be unpacked, good as its bytes are.
  Result<std::optional<std::string>> read_layer(VerifiedImage& report, std::size_t index, std::uint64_t size_bytes,
                                                const Digest& diff_id, FileModel& model);
  // Removes what was read and is corrupt, unless it is another file by now. What cannot be read stays.
  Status take_away(VerifiedImage& report);

 private:
  struct Known {
    VerifiedBlob blob;
    std::optional<struct stat> file = {};
  };
  using Read = std::function<Status(UniqueFd file)>;
  // What cannot be read is read once more, as disks fail now and then, unless `read` cannot begin again.
  Status look_at(VerifiedImage& report, std::size_t index, const Read& read, bool may_reread = true);
  // Under the lock of the store; the image's record, and the blob, as they are now.
  Result<bool> is_missing(VerifiedImage& report, const Digest& digest);

  BorrowedFd store_;
  const ReadWatch& watch_;
  ReadStep step_;
  std::string shown_;
  struct Amount {
    std::uint64_t done = 0, likely = 0;
  };
  std::map<std::string, Amount> amounts_;  // by what is being read
  std::map<Digest, Known> known_;
};

}  // namespace cooper::image
