#include "io/full_disk.h"

#include <utility>

namespace cooper::io {

Error explain_full_disk(Error error, const std::string& where, std::string hint) {
  if (error.code() != Errc::kNoSpace || !error.hint().empty()) return error;
  return std::move(error).with("the disk of " + where + " is full").with_hint(std::move(hint));
}

}  // namespace cooper::io
