#include "image/internal/select.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/strings.h"
#include "image/internal/plan.h"
#include "spec/oci_image/media_types.h"
#include "spec/oci_image/platform.h"
#include "spec/oci_image/reference.h"

namespace cooper::image {
namespace {

using oci_image::Descriptor;
using oci_image::Index;

constexpr std::size_t kMaxShownNames = 10;
constexpr std::array<std::string_view, 2> kMeantRegistries = {oci_image::kLocalRegistry, oci_image::kDockerHub};

// @N, as containers' tools write it.
std::optional<std::size_t> place_of(std::string_view only) {
  if (!only.starts_with('@')) return std::nullopt;
  const auto place = parse_number<std::size_t>(only.substr(1));
  return place ? std::optional<std::size_t>(*place) : std::nullopt;
}

// The same name, in full or as it is written. A short one may be meant as one of this machine or of docker.io.
bool names_same(const std::string& text, const std::string& only, std::string_view registry) {
  if (text.empty() || text == only) return text == only;
  const auto full = full_name(text, registry);
  return full.ok() && std::ranges::any_of(kMeantRegistries, [&](std::string_view meant) {
           const auto wanted = full_name(only, meant);
           return wanted.ok() && *wanted == *full;
         });
}

std::string list_names(const std::vector<std::string>& names, std::size_t images) {
  std::string there;
  for (std::size_t i = 0; i < std::min(names.size(), kMaxShownNames); ++i)
    there += (i == 0 ? "" : ", ") + quoted(names[i]);
  if (names.size() > kMaxShownNames) there += " and " + std::to_string(names.size() - kMaxShownNames) + " more";
  if (names.empty()) there = std::to_string(images) + (images == 1 ? " image" : " images") + " without a name";
  return there;
}

constexpr const char* kChoose = "name one of them, or choose by place: @0 is the first";

Error no_such_image(const std::string& only, const std::vector<std::string>& names, std::size_t images) {
  return Error(Errc::kNotFound, "has no image " + quoted(only) + "; it has " + list_names(names, images))
      .with_hint(kChoose);
}

}  // namespace

Error several_images(const std::vector<std::string>& names, std::size_t images) {
  return Error(Errc::kInvalidArgument, "has several images: " + list_names(names, images)).with_hint(kChoose);
}

std::string annotation_of(const Descriptor& descriptor, std::string_view key) {
  const auto found = descriptor.annotations.find(std::string(key));
  return found == descriptor.annotations.end() ? std::string() : found->second;
}

Result<Index> select_image(Index index, const std::string& only) {
  if (only.empty()) return index;
  std::erase_if(index.manifests, oci_image::is_attestation);
  const auto place = place_of(only);
  std::vector<Descriptor> kept;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < index.manifests.size(); ++i) {
    const Descriptor& descriptor = index.manifests[i];
    const std::string ref = annotation_of(descriptor, oci_image::kAnnotationRefName);
    const std::string whole = annotation_of(descriptor, oci_image::kAnnotationContainerdName);
    if (place ? i == *place
              : names_same(ref, only, oci_image::kLocalRegistry) || names_same(whole, only, oci_image::kDockerHub))
      kept.push_back(descriptor);
    const std::string& shown = ref.empty() ? whole : ref;
    if (!shown.empty() && std::ranges::find(names, shown) == names.end()) names.push_back(shown);
  }
  if (kept.empty()) return no_such_image(only, names, index.manifests.size());
  index.manifests = std::move(kept);
  return index;
}

Status select_image(std::vector<oci_image::DockerArchiveEntry>& entries, const std::string& only) {
  if (only.empty()) return {};
  const auto place = place_of(only);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const auto& tags = entries[i].repo_tags;
    const auto tag =
        std::ranges::find_if(tags, [&](const std::string& t) { return names_same(t, only, oci_image::kDockerHub); });
    if (place ? i == *place : tag != tags.end()) {
      oci_image::DockerArchiveEntry kept = entries[i];
      if (!place) kept.repo_tags = {*tag};
      entries = {std::move(kept)};
      return {};
    }
    names.insert(names.end(), tags.begin(), tags.end());
  }
  return no_such_image(only, names, entries.size());
}

}  // namespace cooper::image
