#include "image/internal/find.h"

#include <algorithm>
#include <array>

#include "base/chars.h"
#include "base/strings.h"
#include "codec/digest.h"
#include "image/internal/aci.h"
#include "image/internal/load.h"
#include "image/short_names.h"
#include "spec/appc/cimd.h"
#include "spec/appc/names.h"
#include "spec/oci_image/parse.h"
#include "spec/oci_image/platform.h"
#include "spec/oci_image/reference.h"

namespace cooper::image {
namespace {

using oci_image::Reference;

constexpr std::size_t kMinPrefix = 2;
constexpr std::size_t kHints = 3;
constexpr std::size_t kIdDigits = 12;  // as many as engines print

// The beginning of an id, or all of it.
struct IdWords {
  std::string_view algorithm;  // empty: not given
  std::string_view digits;     // only these, when it may be an id
  bool may_be_id() const { return !digits.empty() && digits.size() <= 128 && all_lower_hex(digits); }
  // Nothing else is written like that.
  bool is_full() const {
    const bool of_256 = algorithm != "sha512" && digits.size() == 64;
    const bool of_512 = algorithm != "sha256" && digits.size() == 128;
    return may_be_id() && (of_256 || of_512);
  }
};

IdWords split_id(std::string_view text) {
  for (const std::string_view algorithm :
       {std::string_view("sha256:"), std::string_view("sha512:"), std::string_view("sha512-")}) {
    if (text.starts_with(algorithm)) return {algorithm.substr(0, algorithm.size() - 1), text.substr(algorithm.size())};
  }
  return {{}, text};
}

Result<std::vector<Digest>> ids_of(const Records& records, const IdWords& words) {
  ASSIGN_OR_RETURN(auto ids, records.ids_with_prefix(words.digits));
  if (!words.algorithm.empty()) std::erase_if(ids, [&](const Digest& id) { return id.algorithm() != words.algorithm; });
  return ids;
}

// Fewer digits than an id needs, of an image that is there.
bool is_too_short(const Records& records, const IdWords& words) {
  if (!words.may_be_id() || words.digits.size() >= kMinPrefix) return false;
  const auto ids = ids_of(records, words);
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

// Its manifest has that digest, by whichever algorithm it is called here.
bool has_manifest(const Records& records, const Image& image, const Digest& digest) {
  if (image.manifest_digest == digest) return true;
  if (image.manifest_digest.algorithm() == digest.algorithm()) return false;
  const auto bytes = read_stored_document(records.store(), image.manifest_digest, "manifest");
  return bytes.ok() && codec::check_digest(*bytes, digest, "manifest").ok();
}

bool has_repository(const Image& image, const std::vector<Reference>& candidates) {
  std::vector<std::string> names = image.names;
  names.insert(names.end(), image.digest_names.begin(), image.digest_names.end());
  return std::ranges::any_of(names, [&](const std::string& name) {
    const auto stored = oci_image::parse_reference(name);
    return stored.ok() && std::ranges::any_of(candidates, [&](const Reference& candidate) {
             return stored->registry == candidate.registry && stored->repository == candidate.repository;
           });
  });
}

Result<std::optional<FoundImage>> by_name(const Records& records, const Reference& reference) {
  ASSIGN_OR_RETURN(auto found, first_of(records, oci_image::candidates(reference)));
  // Configuration is not read for what is found without it.
  return found ? std::move(found) : first_of(records, names_of_registries(reference));
}

// How well it runs on this machine: the less the better; none: not at all, as far as is known.
std::optional<int> fit(const Records& records, const Image& image, const oci_image::Platform& machine) {
  auto bytes = read_stored_document(records.store(), image.config_digest(), "configuration");
  if (!bytes.ok()) return std::nullopt;
  const auto config = oci_image::parse_config(std::move(*bytes), "configuration");
  return config.ok() ? oci_image::match_configured(machine, config->platform) : std::nullopt;
}

// Of the images of one index that of this machine, which is what the index means to whoever names no platform.
const Image& best_of(const Records& records, const std::vector<const Image*>& images) {
  if (images.size() == 1) return *images.front();
  const oci_image::Platform machine = oci_image::machine_platform();
  const Image* best = images.front();
  std::optional<int> best_fit;
  for (const Image* image : images) {
    const auto its = fit(records, *image, machine);
    if (!its || (best_fit && *its >= *best_fit)) continue;
    best = image;
    best_fit = its;
  }
  return *best;
}

// name@digest: the digest of the manifest, or of the index it came from, and a name (or what it was pulled as) with
// that repository; a tag is ignored.
Result<std::optional<FoundImage>> by_digest(const Records& records, const Reference& reference) {
  ASSIGN_OR_RETURN(const auto images, records.images());
  std::vector<Reference> candidates = oci_image::candidates(reference);
  for (Reference& more : names_of_registries(reference)) candidates.push_back(std::move(more));
  std::vector<const Image*> of_index;
  for (const Image& image : images) {
    if (!has_repository(image, candidates)) continue;
    // A digest names the image, not one of its names.
    if (image.index_digest == reference.digest) {
      of_index.push_back(&image);
    } else if (has_manifest(records, image, *reference.digest)) {
      return std::optional(FoundImage{image, std::nullopt});
    }
  }
  if (of_index.empty()) return std::optional<FoundImage>();
  return std::optional(FoundImage{best_of(records, of_index), std::nullopt});
}

Result<std::optional<FoundImage>> by_id(const Records& records, const IdWords& words, std::string_view reference) {
  if (!words.may_be_id() || words.digits.size() < kMinPrefix) return std::optional<FoundImage>();
  ASSIGN_OR_RETURN(const auto ids, ids_of(records, words));
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
  const IdWords words = split_id(text);
  return words.may_be_id() && (!words.algorithm.empty() || words.digits.size() >= kIdDigits);
}

std::vector<std::string> similar_to(const Records& records, std::string_view reference) {
  const auto parsed = oci_image::parse_reference(reference);
  return parsed.ok() ? near_matches(records, *parsed) : std::vector<std::string>();
}

Status check_image_word(std::string_view text) {
  auto reference = oci_image::parse_reference(text);
  if (reference.ok()) return {};
  const std::string_view digits = split_id(text).digits;
  if ((!digits.empty() && std::ranges::all_of(digits, is_hex)) || aci_name_of(text).ok()) return {};
  if (appc::is_cimd(text)) {
    ASSIGN_OR_RETURN(const std::string word, appc::word_of_cimd(text));
    return std::move(reference).error().with_hint("that is rkt's form of " + quoted(word) + ": write that");
  }
  constexpr std::array<std::string_view, 4> kPlaces = {"oci:", "oci-archive:", "docker-archive:", "dir:"};
  if (std::ranges::any_of(kPlaces, [&](std::string_view kind) { return text.starts_with(kind); }))
    return std::move(reference).error().with_hint(
        "that is a place, and this takes an image of the store: cooper image pull " + std::string(text) +
        " brings it there");
  return std::move(reference).error();
}

// An id with its algorithm, or all its digits, is never a name's. Of fewer digits alone names are asked first, as other
// engines do.
Result<FoundImage> find_image_and_name(const Records& records, std::string_view text) {
  RETURN_IF_ERROR(check_image_word(text));
  const IdWords words = split_id(text);
  const bool id_first = words.is_full() || !words.algorithm.empty();
  if (id_first) {
    ASSIGN_OR_RETURN(auto found, by_id(records, words, text));
    if (found) return std::move(*found);
  }
  const auto reference = oci_image::parse_reference(text);
  if (reference.ok() && !words.is_full()) {
    ASSIGN_OR_RETURN(auto found, reference->digest ? by_digest(records, *reference) : by_name(records, *reference));
    if (found) return std::move(*found);
  }
  if (!id_first) {
    ASSIGN_OR_RETURN(auto found, by_id(records, words, text));
    if (found) return std::move(*found);
  }
  const auto aci_name = aci_name_of(text);
  if (aci_name.ok() && !words.is_full()) {
    ASSIGN_OR_RETURN(auto found, find_aci(records, aci_name->name, aci_name->labels, oci_image::host_platform()));
    if (found) return FoundImage{std::move(*found), std::nullopt};
  }
  Error error(Errc::kNotFound, "image " + quoted(text) + " is not in the store");
  if (is_too_short(records, words)) {
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
