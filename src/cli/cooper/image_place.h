// Where images lie on this machine, in the words of containers' tools: oci:DIR[:IMAGE], oci-archive:FILE[:IMAGE],
// docker-archive:FILE[:IMAGE], dir:DIR, or a path alone.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "image/store.h"

namespace cooper::cli {

struct ImagePlace {
  image::Transport transport = image::Transport::kAuto;
  std::string path;
  std::string only = {};  // as image::LoadOptions has it
};

// PATH, PATH:IMAGE or KIND:PATH[:IMAGE]. What is there under the whole text, or behind KIND, is a path, whatever colons
// it has; else it ends before the first colon behind which nothing of it is, and behind KIND, where nothing is at all,
// before the first.
ImagePlace image_place(const std::string& text);
// The same of a text that may as well be an image's name: only with a KIND, and for archives, where a path is or begins
// with a slash or a dot, or where it can be no name (`oci:DIR:TAG`).
std::optional<ImagePlace> place_not_name(const std::string& text);
// The same for what is to be written: only with a KIND, and its path may be of nothing yet.
std::optional<ImagePlace> place_to_write(const std::string& text);
// Stores of other programs, which they alone read and write; as names they would be images of docker.io.
bool is_foreign_place(std::string_view text);
// Errc::kInvalidArgument of what is to be read from one, with the way to have it.
Status check_readable_place(std::string_view text);
// For people: the kinds, and what follows them.
inline constexpr std::string_view kPlaceWords =
    "oci:DIR[:IMAGE], oci-archive:FILE[:IMAGE], docker-archive:FILE[:IMAGE] or dir:DIR (skopeo's)";

}  // namespace cooper::cli
