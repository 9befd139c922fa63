// An OCI layout of others that gets images beside those it has.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "image/internal/package.h"

namespace cooper::image {

// Asked now and then by what takes long: an error ends it.
using GoOn = std::function<Status()>;

// The directory at `path`, from here on ours alone among those that come through here; waits for others. Invalid when
// nothing is there.
Result<UniqueFd> lock_directory(const std::string& path, const GoOn& go_on);
// Whether an OCI layout is in it; false: nothing at all. Errc::kAlreadyExists: something else.
Result<bool> holds_layout(BorrowedFd directory);

// The index `there` with the entries of `more`, which take their names away from entries that have them. What is not
// known of the others stays as it is. Exposed for tests.
Result<std::string> merge_index(std::string there, std::string more);

// Takes what a new layout consists of. A blob that the layout has is read and not written again; publish() changes the
// index when all of them are there. Without it what was added is taken away again.
class LayoutUpdate final : public Package {
 public:
  // `layout` is locked.
  LayoutUpdate(BorrowedFd layout, GoOn go_on) : layout_(layout), go_on_(std::move(go_on)) {}
  LayoutUpdate(const LayoutUpdate&) = delete;
  LayoutUpdate& operator=(const LayoutUpdate&) = delete;
  ~LayoutUpdate() override;
  Status add_directory(const std::string& path) override;
  Status add_file(const std::string& path, std::uint64_t size_bytes, codec::ByteSource& source) override;
  // Nothing: what is written is not seen before publish().
  Status finish() override { return {}; }
  std::uint64_t written() const override { return written_; }
  Status publish();

 private:
  struct Added {
    std::string path;
    int flags;  // of unlinkat(2)
  };
  Result<UniqueFd> folder(const std::string& path) const;
  Result<bool> has_blob(BorrowedFd folder, const std::string& path, std::uint64_t size_bytes) const;

  BorrowedFd layout_;
  GoOn go_on_;
  codec::MemorySink index_;
  std::uint64_t written_ = 0;
  std::vector<Added> added_;
};

}  // namespace cooper::image
