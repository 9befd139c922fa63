// From what the user wrote to one stored image; the rules are in store.h.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "image/internal/records.h"
#include "image/store.h"

namespace cooper::image {

struct FoundImage {
  Image image;
  std::optional<std::string> name;  // the full name that matched; none when it was found by id or digest
};

// What find_image() refuses before it looks: Errc::kInvalidArgument for what can be neither a name nor an id.
Status check_image_word(std::string_view text);
Result<FoundImage> find_image_and_name(const Records& records, std::string_view text);
bool is_id(std::string_view text);
std::vector<std::string> similar_to(const Records& records, std::string_view reference);
Result<Image> find_image(const Records& records, std::string_view reference);

}  // namespace cooper::image
