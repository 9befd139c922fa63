#include "image/internal/find.h"

#include <algorithm>

#include "base/chars.h"
#include "base/strings.h"
#include "image/internal/aci.h"
#include "image/short_names.h"
#include "spec/appc/names.h"
#include "spec/oci_image/platform.h"
#include "spec/oci_image/reference.h"

namespace cooper::image {
namespace {

using oci_image::Reference;

constexpr std::size_t kMinPrefix = 4;
constexpr std::size_t kHints = 3;
constexpr std::size_t kIdDigits = 12;  // as many as engines print

std::string_view without_algorithm(std::string_view text) {
  for (const std::string_view algorithm :
       {std::string_view("sha256:"), std::string_view("sha512:"), std::string_view("sha512-")}) {
    if (text.starts_with(algorithm)) text.remove_prefix(algorithm.size());
  }
  return text;
}

std::optional<std::string_view> id_prefix(std::string_view text) {
  text = without_algorithm(text);
  if (text.size() < kMinPrefix || text.size() > 128 || !all_lower_hex(text)) return std::nullopt;
  return text;
}

// Fewer digits than an id needs, of an image that is there.
bool is_too_short(const Records& records, std::string_view text) {
  text = without_algorithm(text);
  if (text.empty() || text.size() >= kMinPrefix || !all_lower_hex(text)) return false;
  const auto ids = records.ids_with_prefix(text);
  return ids.ok() && !ids->empty();
}

ShortNames& short_names() {
  static ShortNames names;
  return names;
}

std::vector<Reference> names_of_registries(const Reference& reference) {
  return reference.registry.empty() && short_names() ? short_names()(reference) : std::vector<Reference>();
}

Result<std::optional<FoundImage>> first_of(const Records& records, const std::vector<Reference>& candidates) {
  for (const Reference& candidate : candidates) {
    std::string name = candidate.name();
    ASSIGN_OR_RETURN(const auto id, records.name(name));
    if (!id) continue;
    ASSIGN_OR_RETURN(auto image, records.image(*id));
    if (image) return std::optional(FoundImage{std::move(*image), std::move(name)});
  }
  return std::optional<FoundImage>();
}

Result<std::optional<FoundImage>> by_name(const Records& records, const Reference& reference) {
  ASSIGN_OR_RETURN(auto found, first_of(records, oci_image::candidates(reference)));
  // Configuration is not read for what is found without it.
  return found ? std::move(found) : first_of(records, names_of_registries(reference));
}

// name@digest: the digest of the manifest, or of the index it came from, and a name (or what it was pulled as) with
// that repository; a tag is ignored.
Result<std::optional<FoundImage>> by_digest(const Records& records, const Reference& reference) {
  ASSIGN_OR_RETURN(const auto images, records.images());
  std::vector<Reference> candidates = oci_image::candidates(reference);
  for (Reference& more : names_of_registries(reference)) candidates.push_back(std::move(more));
  for (const Image& image : images) {
    if (image.manifest_digest != *reference.digest && image.index_digest != reference.digest) continue;
    std::vector<std::string> names = image.names;
    names.insert(names.end(), image.digest_names.begin(), image.digest_names.end());
    for (const std::string& name : names) {
      const auto stored = oci_image::parse_reference(name);
      if (!stored.ok()) continue;
      for (const Reference& candidate : candidates) {
        if (stored->registry != candidate.registry || stored->repository != candidate.repository) continue;
        // A digest names the image, not one of its names.
        return std::optional(FoundImage{image, std::nullopt});
      }
    }
  }
  return std::optional<FoundImage>();
}

Result<std::optional<FoundImage>> by_id(const Records& records, std::string_view prefix, std::string_view reference) {
  ASSIGN_OR_RETURN(const auto ids, records.ids_with_prefix(prefix));
  if (ids.size() > 1) {
    return Error(Errc::kInvalidArgument,
                 "image id " + quoted(reference) + " is ambiguous: " + std::to_string(ids.size()) + " images begin so")
        .with_hint("give more digits");
  }
  if (ids.empty()) return std::optional<FoundImage>();
  ASSIGN_OR_RETURN(auto image, records.image(ids.front()));
  if (!image) return std::optional<FoundImage>();
  return std::optional(FoundImage{std::move(*image), std::nullopt});
}

// The words of an ACI's own name, which need not be a reference. What else has two colons or an address in it is rather
// a slip: such a version can be written as a label.
Result<appc::ImageName> aci_name_of(std::string_view text) {
  ASSIGN_OR_RETURN(appc::ImageName name, appc::parse_image_name(text));
  const auto colon = text.find(':');
  const auto version = colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1);
  if (version.starts_with("//") || version.substr(0, version.find(',')).find(':') != std::string_view::npos)
    return Error(Errc::kInvalidArgument, "image name " + quoted(text) + " has a bad version");
  return name;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      diagonal = above;
    }
  }
  return row.back();
}

std::string_view last_component(std::string_view repository) {
  const std::size_t slash = repository.rfind('/');
  return slash == std::string_view::npos ? repository : repository.substr(slash + 1);
}

// Stored names that are likely meant: the same repository under another tag or registry, or a slip of the finger.
std::vector<std::string> near_matches(const Records& records, const Reference& wanted) {
  const auto names = records.names();
  if (!names.ok()) return {};
  std::vector<std::pair<std::size_t, std::string>> ranked;
  for (const std::string& name : *names) {
    const auto stored = oci_image::parse_reference(name);
    if (!stored.ok()) continue;
    const std::size_t distance = edit_distance(last_component(wanted.repository), last_component(stored->repository));
    if (distance <= std::min<std::size_t>(last_component(wanted.repository).size() / 3, 2))
      ranked.emplace_back(distance, name);
  }
  std::ranges::sort(ranked);
  std::vector<std::string> best;
  for (const auto& [distance, name] : ranked) {
    if (best.size() < kHints) best.push_back(name);
  }
  return best;
}

}  // namespace

void set_short_names(ShortNames names) {
  short_names() = std::move(names);
}

bool is_id(std::string_view text) {
  const std::string_view digits = without_algorithm(text);
  return !digits.empty() && all_lower_hex(digits) && (digits.size() < text.size() || digits.size() >= kIdDigits);
}

std::vector<std::string> similar_to(const Records& records, std::string_view reference) {
  const auto parsed = oci_image::parse_reference(reference);
  return parsed.ok() ? near_matches(records, *parsed) : std::vector<std::string>();
}

Status check_image_word(std::string_view text) {
  auto reference = oci_image::parse_reference(text);
  if (reference.ok()) return {};
  const std::string_view digits = without_algorithm(text);
  if ((!digits.empty() && std::ranges::all_of(digits, is_hex)) || aci_name_of(text).ok()) return {};
  return std::move(reference).error();
}

Result<FoundImage> find_image_and_name(const Records& records, std::string_view text) {
  RETURN_IF_ERROR(check_image_word(text));
  const auto reference = oci_image::parse_reference(text);
  if (reference.ok()) {
    ASSIGN_OR_RETURN(auto found, reference->digest ? by_digest(records, *reference) : by_name(records, *reference));
    if (found) return std::move(*found);
  }
  if (const auto prefix = id_prefix(text)) {
    ASSIGN_OR_RETURN(auto found, by_id(records, *prefix, text));
    if (found) return std::move(*found);
  }
  const auto aci_name = aci_name_of(text);
  if (aci_name.ok()) {
    ASSIGN_OR_RETURN(auto found, find_aci(records, aci_name->name, aci_name->labels, oci_image::host_platform()));
    if (found) return FoundImage{std::move(*found), std::nullopt};
  }
  Error error(Errc::kNotFound, "image " + quoted(text) + " is not in the store");
  if (is_too_short(records, text)) {
    return std::move(error).with_hint("as the beginning of an id it is too short: give " + std::to_string(kMinPrefix) +
                                      " digits or more");
  }
  const std::string meant = join(similar_to(records, text), " or ");
  return std::move(error).with_hint(meant.empty() ? "cooper image ls lists those that are"
                                                  : "did you mean " + meant + "?");
}

Result<Image> find_image(const Records& records, std::string_view reference) {
  ASSIGN_OR_RETURN(FoundImage found, find_image_and_name(records, reference));
  return std::move(found.image);
}

}  // namespace cooper::image
