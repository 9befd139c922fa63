// Whether images are what they say: their blobs, and their unpacked trees; see Store::verify(). And how two images
// differ; see Store::diff().
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "image/compare.h"
#include "image/store.h"

namespace cooper::image {

// How far it has come, in bytes read, image by image. Asked for `cancelled` now and then: true ends the work with
// Errc::kCancelled.
struct ReadWatch {
  Progress progress = {};
  std::function<bool()> cancelled = {};
};

struct VerifyOptions {
  std::vector<std::string> references = {};  // none: all images
  // Takes away blobs that were read and are damaged, so that a load or a pull brings them anew, and damaged trees that
  // nobody uses, so that the next container unpacks them anew; erofs images are made anew.
  bool repair = false;
  ReadWatch watch = {};
};

struct VerifiedBlob {
  enum class State { kGood, kMissing, kCorrupt, kUnreadable };
  std::string what;  // "manifest", "configuration", "layer 1 of 3"
  Digest digest;
  State state = State::kGood;
  std::string message = {};  // why it is not good
  bool taken_away = false;   // repaired
};
std::string_view to_string(VerifiedBlob::State state);

enum class TreeState {
  kGood,
  kDiffers,
  kNotUnpacked,  // nothing wrong: the first container unpacks it
  kNotCompared,  // its layers cannot be read
  kTakenAway,    // it differed, and was repaired
  kMadeAnew,     // it differed, was taken away, and is there again
};
std::string_view to_string(TreeState state);

struct VerifiedImage {
  Image image;                           // given_names: by which it was asked for
  bool removed = false;                  // meanwhile, by somebody else: nothing else is said of it
  std::vector<std::string> record = {};  // what is wrong with the store's record of it, a sentence each
  std::vector<VerifiedBlob> blobs = {};
  TreeState tree = TreeState::kNotUnpacked;
  std::string tree_message = {};        // why it was not compared
  std::uint64_t tree_entries = 0;       // compared
  std::vector<PathChange> paths = {};   // before: what the layers say; after: what is there
  std::vector<std::string> users = {};  // of a tree that differs
  // The same tree as an erofs image, by the digest that was noted when it was made.
  TreeState erofs = TreeState::kNotUnpacked;
  std::string erofs_message = {};             // what is wrong with it, or why it was not made anew
  std::vector<PathChange> erofs_paths = {};   // that differ, as far as its layers and its structure can be read
  std::vector<std::string> erofs_users = {};  // when it differs

  bool blobs_good() const;
  // As it is now: what was repaired counts as good when nothing is missing because of it.
  bool good() const;
};

}  // namespace cooper::image
