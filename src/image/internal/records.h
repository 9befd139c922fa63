// The refs of a store: one small JSON file per image and one per name, each replaced atomically.
//
// A name belongs to the image its own file names. An image's record lists its names too, so that one image is read with
// two system calls more than its record; the list may hold a name too many after a crash (never one too few), which is
// why readers check it against the name files. Writers hold locks/store exclusively.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "image/store.h"

namespace cooper::image {

class Records {
 public:
  explicit Records(BorrowedFd store) : store_(store) {}
  BorrowedFd store() const { return store_; }

  // nullopt when there is none. A record that cannot be read (a power cut before it was flushed) counts as none.
  Result<std::optional<Image>> image(const Digest& id) const;
  Result<std::optional<Digest>> name(const std::string& name) const;
  Result<std::vector<Image>> images() const;
  // All names, unsorted; only their existence is looked at.
  Result<std::vector<std::string>> names() const;
  // Ids that begin with these hexadecimal digits, sorted.
  Result<std::vector<Digest>> ids_with_prefix(std::string_view hex) const;
  // For who asks often and is the only writer: the ids are listed now, and no more.
  Status remember_ids();

  // Writers: put_*() are durable when they return.
  Status put_image(const Image& image);
  // Gives the name to the image, taking it from another one that has it.
  Status put_name(const std::string& name, const Digest& id);
  // Missing ones are fine. Durable only after flush().
  Status remove_name(const std::string& name);
  // Of an image that goes, too: its record may go on listing the name.
  Status drop_name(const std::string& name);
  Status remove_image(const Digest& id);
  Status flush();

 private:
  // The names among `listed` that do belong to the image.
  Result<std::vector<std::string>> own_names(const std::vector<std::string>& listed, const Digest& id) const;
  Result<std::optional<Image>> read_record(const Digest& id) const;
  BorrowedFd store_;
  std::optional<std::set<Digest>> ids_;
};

// Exposed for tests and fuzzing.
std::string print_record(const Image& image);
Result<Image> parse_record(std::string text);

}  // namespace cooper::image
