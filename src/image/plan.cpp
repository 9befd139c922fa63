#include "image/internal/plan.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/strings.h"
#include "codec/digest.h"
#include "image/internal/layer_path.h"
#include "image/internal/paths.h"
#include "image/internal/select.h"
#include "spec/oci_image/media_types.h"
#include "spec/oci_image/parse.h"
#include "spec/oci_image/platform.h"
#include "spec/oci_image/print.h"
#include "spec/oci_image/reference.h"

namespace cooper::image {
namespace {

using oci_image::Descriptor;
using oci_image::DocumentKind;
using oci_image::Index;
using oci_image::kMaxDocumentBytes;
using oci_image::Manifest;

constexpr int kMaxIndexDepth = 8;
constexpr std::size_t kMaxImages = 1000;
constexpr std::size_t kMaxNames = 1000;                                // of all images of one source
constexpr std::uint64_t kMaxDocumentsBytes = std::uint64_t{16} << 20;  // of all images of one source

// A blob that is a document: small, of the stated size and digest.
Result<std::string> read_document(const ReadDocument& read, const Descriptor& descriptor, DocumentRole role,
                                  const std::string& what) {
  if (descriptor.size_bytes > kMaxDocumentBytes) {
    return Error(Errc::kLimit, what + " is larger than " + format_bytes(kMaxDocumentBytes));
  }
  ASSIGN_OR_RETURN(std::string text, read(descriptor, role, what));
  if (text.size() != descriptor.size_bytes) {
    return Error(Errc::kCorrupt, what + " is corrupt: it has " + std::to_string(text.size()) + " bytes, not " +
                                     std::to_string(descriptor.size_bytes));
  }
  RETURN_IF_ERROR(codec::check_digest(text, descriptor.digest, what));
  return text;
}

// Documents of a source. A thousand small images may share a large document, which each of them would read and keep.
class Documents {
 public:
  explicit Documents(Source& source) : source_(source) {}
  Result<std::string> read(const std::string& path) {
    ASSIGN_OR_RETURN(std::string text, source_.read(path, kMaxDocumentBytes));
    bytes_ += text.size();
    if (bytes_ <= kMaxDocumentsBytes) return text;
    return Error(Errc::kLimit, "manifests and configurations of all its images are larger than " +
                                   format_bytes(kMaxDocumentsBytes) + " together");
  }

 private:
  Source& source_;
  std::uint64_t bytes_ = 0;
};

ReadDocument reader_of(Documents& documents) {
  return [&documents](const Descriptor& descriptor, DocumentRole, const std::string& what) -> Result<std::string> {
    auto text = documents.read(blob_path(descriptor.digest));
    if (text.ok()) return text;
    if (text.error().code() == Errc::kNotFound)
      return Error(Errc::kNotFound, what + " is missing: no blob " + descriptor.digest.str(), ENOENT);
    return std::move(text).error().with(what);
  };
}

struct Chosen {
  std::string bytes;
  Digest digest;
  Manifest manifest;
  std::optional<Digest> index_digest;
};

// Follows indexes down to the manifest for the platform.
Result<Chosen> choose_manifest(const ReadDocument& read, Descriptor descriptor, const oci_image::Platform& platform,
                               const std::string& what) {
  std::optional<Digest> outermost;
  for (int depth = 0; depth < kMaxIndexDepth; ++depth) {
    const std::string name = "manifest " + descriptor.digest.str();
    auto document = read_document(read, descriptor, DocumentRole::kManifest, name);
    if (!document.ok() && outermost && document.error().code() == Errc::kNotFound && document.error().hint().empty())
      return std::move(document).error().with_hint(
          "the index lists this image, and its source does not hold it: docker save leaves out images for other "
          "platforms than its own; --platform OS/ARCH takes another one");
    if (!document.ok()) return std::move(document).error();
    std::string& bytes = *document;
    ASSIGN_OR_RETURN(const DocumentKind kind, oci_image::document_kind(bytes, name));
    if (kind == DocumentKind::kManifest) {
      ASSIGN_OR_RETURN(Manifest manifest, oci_image::parse_manifest(bytes, name));
      return Chosen{std::move(bytes), std::move(descriptor.digest), std::move(manifest), std::move(outermost)};
    }
    ASSIGN_OR_RETURN(const Index index, oci_image::parse_index(std::move(bytes), name));
    if (!outermost) outermost = descriptor.digest;
    // Entries without a platform are nested indexes (or images of one platform): select_platform() takes a single one.
    ASSIGN_OR_RETURN(const std::size_t best, oci_image::select_platform(index.manifests, platform, what));
    descriptor = index.manifests[best];
  }
  return Error(Errc::kCorrupt, what + ": indexes are nested more than " + std::to_string(kMaxIndexDepth) + " deep");
}

Status check_runnable(const Manifest& manifest, const Digest& digest, const std::string& what) {
  if (!manifest.artifact_type.empty()) {
    return Error(Errc::kUnsupported, what + " (manifest " + digest.str() + ") is an artifact of type " +
                                         quoted(manifest.artifact_type) + ", not an image to run")
        .with_hint("programs that know its type fetch it, for example oras; cooper takes images of file systems");
  }
  for (const Descriptor& layer : manifest.layers) {
    if (Status known = oci_image::check_layer_media_type(layer.media_type); !known.ok())
      return std::move(known).error().with(what + ", layer " + layer.digest.str());
  }
  return {};
}

Result<ImagePlan> plan_manifest(const ReadDocument& read, Chosen chosen, const oci_image::Platform& platform,
                                const std::string& what) {
  RETURN_IF_ERROR(check_runnable(chosen.manifest, chosen.digest, what));
  const Descriptor& config = chosen.manifest.config;
  ASSIGN_OR_RETURN(std::string config_bytes,
                   read_document(read, config, DocumentRole::kConfiguration, "configuration of " + what));
  ASSIGN_OR_RETURN(oci_image::ImageConfig parsed, oci_image::parse_config(config_bytes, "configuration of " + what));
  RETURN_IF_ERROR(check_platform(parsed, platform, what));
  if (parsed.diff_ids.size() != chosen.manifest.layers.size()) {
    return Error(Errc::kCorrupt, what + " is corrupt: its manifest has " +
                                     std::to_string(chosen.manifest.layers.size()) + " layers, its configuration " +
                                     std::to_string(parsed.diff_ids.size()));
  }
  std::vector<LayerPlan> layers;
  for (std::size_t i = 0; i < parsed.diff_ids.size(); ++i) {
    const Descriptor& layer = chosen.manifest.layers[i];
    layers.push_back({blob_path(layer.digest), parsed.diff_ids[i], layer.digest, layer.size_bytes});
  }
  return ImagePlan{.names = {},
                   .config_bytes = std::move(config_bytes),
                   .config = std::move(parsed),
                   .config_digest = config.digest,
                   .manifest_bytes = std::move(chosen.bytes),
                   .manifest_digest = std::move(chosen.digest),
                   .index_digest = std::move(chosen.index_digest),
                   .layers = std::move(layers)};
}

// The name an entry of index.json carries; empty for none.
Result<std::string> name_of(const Descriptor& descriptor, const std::string& wanted_name, bool& used) {
  // containerd and docker write the whole name apart; ref.name is then the tag alone.
  if (const std::string name = annotation_of(descriptor, oci_image::kAnnotationContainerdName); !name.empty()) {
    return full_name(name, oci_image::kDockerHub);
  }
  const std::string ref = annotation_of(descriptor, oci_image::kAnnotationRefName);
  if (ref.empty() || ref.find_first_of("/:@") != std::string::npos) {
    return ref.empty() ? Result<std::string>(std::string()) : full_name(ref, oci_image::kLocalRegistry);
  }
  if (wanted_name.empty()) return full_name(ref, oci_image::kLocalRegistry);
  // A bare word is the tag of the name the user gives.
  used = true;
  ASSIGN_OR_RETURN(oci_image::Reference reference, oci_image::parse_reference(wanted_name));
  if (reference.tag.empty()) reference.tag = ref;
  return full_name(reference.str(), oci_image::kLocalRegistry);
}

// Entries of index.json by name, in order of first appearance.
struct Group {
  std::string name;
  std::vector<Descriptor> manifests;
};
// `used` is set when a name is made of the wanted one.
Result<std::vector<Group>> group_by_name(const Index& index, const std::string& wanted_name, bool& used) {
  std::vector<Group> groups;
  for (const Descriptor& descriptor : index.manifests) {
    if (oci_image::is_attestation(descriptor)) continue;
    ASSIGN_OR_RETURN(std::string name, name_of(descriptor, wanted_name, used));
    auto group = std::ranges::find(groups, name, &Group::name);
    if (group == groups.end()) {
      if (groups.size() == kMaxImages)
        return Error(Errc::kLimit, "index.json has more than " + std::to_string(kMaxImages) + " images");
      group = groups.insert(groups.end(), Group{.name = std::move(name), .manifests = {}});
    }
    group->manifests.push_back(descriptor);
  }
  return groups;
}

// Unnamed images of one platform each are several images; with platforms they are one, for several platforms.
std::vector<std::vector<Descriptor>> images_of(const Group& group) {
  const bool platforms =
      std::ranges::any_of(group.manifests, [](const Descriptor& d) { return d.platform.has_value(); });
  if (!group.name.empty() || platforms) return {group.manifests};
  std::vector<std::vector<Descriptor>> images;
  for (const Descriptor& descriptor : group.manifests) images.push_back({descriptor});
  return images;
}

Status add_wanted_name(std::vector<ImagePlan>& plans, const std::string& name) {
  if (name.empty()) return {};
  std::vector<ImagePlan*> unnamed;
  for (ImagePlan& plan : plans) {
    if (plan.names.empty()) unnamed.push_back(&plan);
  }
  if (unnamed.size() > 1) {
    return Error(Errc::kInvalidArgument,
                 "name " + quoted(name) + " cannot be given to " + std::to_string(unnamed.size()) + " images");
  }
  if (unnamed.empty() && plans.size() > 1) {
    return Error(Errc::kInvalidArgument, "name " + quoted(name) + " cannot be given to " +
                                             std::to_string(plans.size()) + " images, which bring names of their own");
  }
  ASSIGN_OR_RETURN(std::string full, full_name(name, oci_image::kLocalRegistry));
  std::vector<std::string>& names = (unnamed.empty() ? &plans.front() : unnamed.front())->names;
  if (std::ranges::find(names, full) == names.end()) names.push_back(std::move(full));
  return {};
}

// The same image under two names is one plan.
void merge_into(std::vector<ImagePlan>& plans, ImagePlan plan) {
  for (ImagePlan& other : plans) {
    if (other.config_digest != plan.config_digest || other.manifest_bytes != plan.manifest_bytes) continue;
    for (std::string& name : plan.names) {
      if (std::ranges::find(other.names, name) == other.names.end()) other.names.push_back(std::move(name));
    }
    return;
  }
  plans.push_back(std::move(plan));
}

Result<ImagePlan> plan_docker_image(Documents& documents, const oci_image::DockerArchiveEntry& entry,
                                    const oci_image::Platform& platform) {
  const std::string what = "image " + quoted(entry.repo_tags.empty() ? entry.config : entry.repo_tags.front());
  auto config_bytes = documents.read(entry.config);
  if (!config_bytes.ok()) return std::move(config_bytes).error().with("configuration of " + what);
  ASSIGN_OR_RETURN(oci_image::ImageConfig config, oci_image::parse_config(*config_bytes, "configuration of " + what));
  RETURN_IF_ERROR(check_platform(config, platform, what));
  // "<hex>.json" or "blobs/sha256/<hex>": where the name is a digest, it must be right.
  Digest digest = codec::digest_of(*config_bytes);
  std::string stem(split_parent(entry.config).second);
  if (stem.ends_with(".json")) stem.resize(stem.size() - 5);
  if (const auto named = Digest::parse("sha256:" + stem); named.ok() && *named != digest) {
    return codec::digest_mismatch(*named, digest, "configuration of " + what);
  }
  if (config.diff_ids.size() != entry.layers.size()) {
    return Error(Errc::kCorrupt, what + " is corrupt: its manifest has " + std::to_string(entry.layers.size()) +
                                     " layers, its configuration " + std::to_string(config.diff_ids.size()));
  }
  ImagePlan plan{.names = {},
                 .config_bytes = std::move(*config_bytes),
                 .config = std::move(config),
                 .config_digest = std::move(digest),
                 .manifest_bytes = {},
                 .layers = {}};
  for (std::size_t i = 0; i < entry.layers.size(); ++i)
    plan.layers.push_back({entry.layers[i], plan.config.diff_ids[i]});
  for (const std::string& tag : entry.repo_tags) {
    ASSIGN_OR_RETURN(std::string name, full_name(tag, oci_image::kDockerHub));
    plan.names.push_back(std::move(name));
  }
  return plan;
}

}  // namespace

Result<std::string> full_name(std::string_view text, std::string_view registry) {
  ASSIGN_OR_RETURN(oci_image::Reference reference, oci_image::parse_reference(text));
  reference = oci_image::qualify(std::move(reference), registry);
  reference.digest.reset();
  const std::string name = reference.name();
  // Qualifying has made it longer.
  if (name.size() > oci_image::kMaxNameBytes) {
    return Error(Errc::kInvalidArgument, "image name " + quoted(name) + " is longer than " +
                                             std::to_string(oci_image::kMaxNameBytes) + " bytes");
  }
  return name;
}

Result<ImagePlan> plan_image(const ReadDocument& read, const Descriptor& top, const oci_image::Platform& platform,
                             const std::string& what, const AdmitManifest& admit) {
  ASSIGN_OR_RETURN(Chosen chosen, choose_manifest(read, top, platform, what));
  if (admit) RETURN_IF_ERROR(admit(chosen.bytes, chosen.digest));
  return plan_manifest(read, std::move(chosen), platform, what);
}

std::string chain_of(const std::vector<Digest>& diff_ids) {
  if (diff_ids.empty()) return std::string(codec::digest_of("").hex());
  Digest chain = diff_ids.front();
  for (std::size_t i = 1; i < diff_ids.size(); ++i) chain = codec::digest_of(chain.str() + " " + diff_ids[i].str());
  return std::string(chain.hex());
}

Status check_platform(const oci_image::ImageConfig& config, const oci_image::Platform& wanted, std::string_view what) {
  if (wanted.os.empty() && wanted.architecture.empty()) return {};
  if (oci_image::match_configured(wanted, config.platform)) return {};
  return Error(Errc::kNotFound, std::string(what) + " is for platform " +
                                    quoted(oci_image::to_string(config.platform)) + ", not for " +
                                    quoted(oci_image::to_string(wanted)))
      .with_hint("--platform " + oci_image::to_string(config.platform) + " takes this one");
}

Result<std::vector<ImagePlan>> plan_oci_layout(Source& source, const PlanOptions& options) {
  ASSIGN_OR_RETURN(const bool has_layout_file, source.has("oci-layout"));
  if (has_layout_file) {
    ASSIGN_OR_RETURN(std::string layout, source.read("oci-layout", kMaxDocumentBytes));
    RETURN_IF_ERROR(oci_image::check_layout_file(std::move(layout), "oci-layout"));
  }
  ASSIGN_OR_RETURN(std::string bytes, source.read("index.json", kMaxDocumentBytes));
  ASSIGN_OR_RETURN(Index listed, oci_image::parse_index(std::move(bytes), "index.json"));
  ASSIGN_OR_RETURN(const Index index, select_image(std::move(listed), options.only));
  bool used = false;
  ASSIGN_OR_RETURN(const auto groups, group_by_name(index, options.name, used));
  if (groups.empty()) return Error(Errc::kNotFound, "index.json lists no image");
  std::vector<ImagePlan> plans;
  Documents documents(source);
  std::size_t count = 0;
  for (const Group& group : groups) {
    for (const auto& manifests : images_of(group)) {
      if (++count > kMaxImages)
        return Error(Errc::kLimit, "index.json has more than " + std::to_string(kMaxImages) + " images");
      const std::string what = group.name.empty() ? "image" : "image " + quoted(group.name);
      std::size_t best = 0;
      if (manifests.size() > 1) {
        ASSIGN_OR_RETURN(best, oci_image::select_platform(manifests, options.platform, what));
      }
      ASSIGN_OR_RETURN(ImagePlan plan, plan_image(reader_of(documents), manifests[best], options.platform, what));
      if (!group.name.empty()) plan.names.push_back(group.name);
      merge_into(plans, std::move(plan));
    }
  }
  const bool nameless = std::ranges::any_of(plans, [](const ImagePlan& plan) { return plan.names.empty(); });
  if (!used || nameless) RETURN_IF_ERROR(add_wanted_name(plans, options.name));
  return plans;
}

Result<std::vector<ImagePlan>> plan_docker_archive(Source& source, const PlanOptions& options) {
  ASSIGN_OR_RETURN(std::string bytes, source.read("manifest.json", kMaxDocumentBytes));
  ASSIGN_OR_RETURN(auto entries, oci_image::parse_docker_archive_manifest(std::move(bytes), "manifest.json"));
  if (entries.size() > kMaxImages)
    return Error(Errc::kLimit, "manifest.json has more than " + std::to_string(kMaxImages) + " images");
  RETURN_IF_ERROR(select_image(entries, options.only));
  std::size_t names = 0;
  for (const auto& entry : entries) names += entry.repo_tags.size();
  if (names > kMaxNames)
    return Error(Errc::kLimit, "manifest.json has more than " + std::to_string(kMaxNames) + " names");
  std::vector<ImagePlan> plans;
  Documents documents(source);
  for (const auto& entry : entries) {
    ASSIGN_OR_RETURN(ImagePlan plan, plan_docker_image(documents, entry, options.platform));
    merge_into(plans, std::move(plan));
  }
  RETURN_IF_ERROR(add_wanted_name(plans, options.name));
  return plans;
}

// SHA-256 needs no mark.
std::string skopeo_file(const Digest& digest) {
  const std::string hex(digest.hex());
  return digest.algorithm() == "sha256" ? hex : std::string(digest.algorithm()) + "-" + hex;
}

Result<std::vector<ImagePlan>> plan_skopeo_directory(Source& source, const PlanOptions& options) {
  if (!options.only.empty()) return Error(Errc::kInvalidArgument, "is one image, of which none can be chosen");
  Documents documents(source);
  ASSIGN_OR_RETURN(const std::string manifest, documents.read(std::string(kSkopeoManifest)));
  const Digest digest = codec::digest_of(manifest);
  const ReadDocument read = [&](const Descriptor& descriptor, DocumentRole role,
                                const std::string& what) -> Result<std::string> {
    if (descriptor.digest == digest) return manifest;
    // Of several platforms each manifest has a file of its own.
    const bool nested = role == DocumentRole::kManifest;
    auto text = documents.read(skopeo_file(descriptor.digest) + (nested ? ".manifest.json" : ""));
    if (text.ok()) return text;
    if (text.error().code() == Errc::kNotFound)
      return Error(Errc::kNotFound, what + " is missing: no file " + skopeo_file(descriptor.digest), ENOENT);
    return std::move(text).error().with(what);
  };
  const Descriptor top{
      .media_type = {}, .digest = digest, .size_bytes = manifest.size(), .annotations = {}, .platform = {}};
  ASSIGN_OR_RETURN(ImagePlan plan, plan_image(read, top, options.platform, "image"));
  for (LayerPlan& layer : plan.layers) layer.file = skopeo_file(*layer.digest);
  std::vector<ImagePlan> plans;
  plans.push_back(std::move(plan));
  RETURN_IF_ERROR(add_wanted_name(plans, options.name));
  return plans;
}

}  // namespace cooper::image
