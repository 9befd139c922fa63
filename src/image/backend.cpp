#include "image/backend.h"

#include <array>
#include <utility>

#include "base/strings.h"

namespace cooper::image {

Result<Backend> backend_from_string(std::string_view word) {
  static constexpr std::array<std::pair<std::string_view, Backend>, 3> kWords = {
      {{"overlay", Backend::kOverlay}, {"copy", Backend::kCopy}, {"erofs", Backend::kErofs}}};
  for (const auto& [name, backend] : kWords) {
    if (name == word) return backend;
  }
  return Error(Errc::kInvalidArgument, quoted(word) + " is not one of overlay, copy and erofs");
}

}  // namespace cooper::image
