// A copy of all image records in one file, refs/listing, for who lists thousands of them: reading ten thousand small
// files takes longer than all the rest.
//
// Nobody keeps it up to date. It says which state of the two directories of refs/ it is a copy of (device, inode, times
// of change, which every record that appears, goes or is replaced sets), and counts for nothing when they have another.
// It is made by whoever lists the records one by one, when the last change is so long ago that a later one must show in
// the times. What decides something (gc, removal) never reads it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "image/store.h"

namespace cooper::image {

// As Records::images().
Result<std::vector<Image>> list_images(BorrowedFd store, Store::Detail detail);

// Exposed for tests and fuzzing. `state` is what the copy is of.
std::string print_listing(std::string_view state, const std::vector<Image>& images);
// Adds the checksum that print_listing() ends with.
void seal_listing(std::string& text);
// nullopt for another state, and for anything that is not a whole listing.
std::optional<std::vector<Image>> parse_listing(std::string_view text, std::string_view state,
                                                Store::Detail detail = Store::Detail::kAll);

}  // namespace cooper::image
