#include "pod/mend.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "base/strings.h"
#include "image/verify.h"
#include "log/log.h"
#include "spec/oci_image/reference.h"

namespace cooper::pod {
namespace {

bool is_of_registry(const std::string& name) {
  const auto reference = oci_image::parse_reference(name);
  return reference.ok() && !reference->registry.empty() && reference->registry != oci_image::kLocalRegistry;
}

// What names exactly this image in a registry: what the tag names there by now is not asked.
std::optional<std::string> origin_of(const image::Image& image) {
  if (image.aci) return std::nullopt;
  const auto named = std::ranges::find_if(image.names, is_of_registry);
  if (named != image.names.end()) return *named + "@" + image.manifest_digest.str();
  if (image.digest_names.empty()) return std::nullopt;
  const std::string& name = image.digest_names.front();
  return name.substr(0, name.find('@')) + "@" + image.manifest_digest.str();
}

bool is_damaged(const image::VerifiedBlob& blob) {
  return blob.state != image::VerifiedBlob::State::kGood;
}

}  // namespace

Status mend_image(image::Store& store, const image::Image& image, const FetchImage& fetch, Error why) {
  const auto origin = origin_of(image);
  if (!fetch || !origin || why.code() != Errc::kCorrupt) return why;
  auto verified = store.verify({.references = {image.id.str()}, .repair = true});
  if (!verified.ok()) return std::move(verified).error().with(why.message());
  if (verified->size() == 1 && verified->front().blobs_good() &&
      verified->front().erofs == image::TreeState::kMadeAnew) {
    log::warning(why.message() + ": it is made anew");
    return {};
  }
  // A layer that is whole and cannot be unpacked comes no better a second time.
  if (verified->size() != 1 || verified->front().removed || verified->front().blobs_good()) return why;
  std::vector<std::string> digests;
  for (const image::VerifiedBlob& blob : verified->front().blobs) {
    if (is_damaged(blob)) digests.push_back(blob.what + " (" + blob.digest.str() + ")");
  }
  log::warning(why.message() + ": fetching " + join(digests, ", ") + " again from " + quoted(*origin));
  auto fetched = fetch(store, *origin, Fetch::kMissingBytes);
  if (!fetched.ok()) {
    // On a full disk there is a better hint.
    Error error = std::move(fetched).error().with(why.message());
    if (error.code() == Errc::kNoSpace) return error;
    return std::move(error).with_hint("try again later, or pull or load the image again");
  }
  if (fetched->id == image.id) return {};
  return Error(Errc::kCorrupt, why.message() + ": " + quoted(*origin) + " is another image");
}

}  // namespace cooper::pod
