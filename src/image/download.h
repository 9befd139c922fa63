// A file of the web while it is fetched into the store's disk, and what an interrupted fetch of it has left:
//
//   partial/sha256-<hex>             the first bytes of it, named by the SHA-256 of what it was asked for by
//   partial/sha256-<hex>.validator   what its server said of it when they came, and the boot in which they did
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::image {

class Download {
 public:
  // `key` is what it is asked for by, and how; another key goes on with nothing of it. `of_this_boot`: who checks the
  // whole by no signature wants nothing that was on the disk when the machine went down. Where another fetch has it,
  // this one has a file of its own of which nothing stays. `store` must outlive it.
  static Result<Download> open(BorrowedFd store, const std::string& key, std::uint64_t max_bytes, bool of_this_boot);
  Download(Download&&) noexcept;
  Download& operator=(Download&&) = delete;
  // What has come stays, if note() was told how to ask for the rest.
  ~Download();

  // Open for reading, and for writing at its end.
  BorrowedFd file() const;
  // So much of it is there, of what had this validator. 0: nothing.
  std::uint64_t had_bytes() const;
  const std::string& validator() const;
  // Before the first byte is written; empty: what comes cannot be gone on with.
  Status note(const std::string& validator);
  // Nothing is left of it but the file that is open.
  void remove();

 private:
  struct Impl;
  explicit Download(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cooper::image
