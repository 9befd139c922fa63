// What pulls have got of blobs so far, kept for the next pull when one was interrupted or its connection went away.
//
//   partial/<alg>-<hex>   the first bytes of that blob, not checked; locked (flock) by the pull that writes them. An
//                         empty one of a manifest says that a pull of its image is at work.
//
// A power cut may leave other bytes than came: whoever goes on with some checks the digest of the whole, and takes them
// away when it is wrong. No pull writes to one that has another link.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/ids.h"

namespace cooper::image {

class Partial {
 public:
  // This blob's, with what is there already, made when there is none; it is locked while any descriptor of the file is
  // open. Nothing: another pull has it. `store` must outlive it.
  static Result<std::optional<Partial>> open(BorrowedFd store, const Digest& digest, std::uint64_t size_bytes);
  Partial(Partial&& other) noexcept;
  Partial& operator=(Partial&&) = delete;
  // An empty one is not left behind.
  ~Partial();

  // Open for reading, and for writing at its end.
  BorrowedFd file() const { return file_; }
  // When it was opened; at most the size of the blob.
  std::uint64_t had_bytes() const { return had_bytes_; }
  // Gives the file another name, where it stays when this one is removed.
  Status link_to(BorrowedFd dir, const std::string& name) const;
  void remove();

 private:
  Partial(BorrowedFd store, std::string path, UniqueFd file, std::uint64_t had_bytes)
      : store_(store), path_(std::move(path)), file_(std::move(file)), had_bytes_(had_bytes) {}

  BorrowedFd store_;
  std::string path_;  // empty: removed, or moved from
  UniqueFd file_;
  std::uint64_t had_bytes_;
};

struct KeptPartial {
  std::uint64_t bytes = 0;  // of the blocks on the disk
  bool in_use = false;
  std::int64_t changed_unix_ms = 0;
};
Result<std::vector<KeptPartial>> list_partials(BorrowedFd store);

// Removes what no pull has written to since then and none has open now. Returns the bytes freed; a dry run tells what
// would be.
Result<std::uint64_t> remove_old_partials(BorrowedFd store, std::int64_t before_unix_ms, bool dry_run);
// They are old after a day when nothing says otherwise.
std::int64_t partials_old_before_unix_ms();

}  // namespace cooper::image
