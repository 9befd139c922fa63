// What a source holds, read and checked as far as its small documents go: every image to load with its configuration,
// its layers and where their bytes lie. No layer has been read yet.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/ids.h"
#include "image/internal/source.h"
#include "spec/oci_image/types.h"

namespace cooper::image {

struct LayerPlan {
  std::string file;  // in the source
  Digest diff_id;
  // What the manifest says; docker-archive has no manifest and says nothing.
  std::optional<Digest> digest = {};
  std::optional<std::uint64_t> size_bytes = {};
};

struct ImagePlan {
  std::vector<std::string> names;  // full, with tag
  std::string config_bytes;
  oci_image::ImageConfig config;
  Digest config_digest;
  std::string manifest_bytes;                           // empty: made when the layers are known
  std::optional<Digest> manifest_digest = {};           // by which it was named; none: its SHA-256
  std::map<std::string, std::string> annotations = {};  // of a manifest that is made
  std::optional<Digest> index_digest = {};
  std::vector<LayerPlan> layers;
  std::optional<Digest> id = {};  // of the image; none: that of its configuration
  const Digest& image_id() const { return id ? *id : config_digest; }
};

struct PlanOptions {
  oci_image::Platform platform;
  std::string name;       // see LoadOptions
  std::string only = {};  // as well
};

// An OCI layout. Every top-level name is one image; of several manifests with one name (or none), and of every index,
// the one for the platform is taken. Errc::kNotFound when none is for the platform.
Result<std::vector<ImagePlan>> plan_oci_layout(Source& source, const PlanOptions& options);
// docker-archive: all its images.
Result<std::vector<ImagePlan>> plan_docker_archive(Source& source, const PlanOptions& options);
// skopeo's dir: files named by the hexadecimal digits of their digest beside one manifest; it brings no name.
inline constexpr std::string_view kSkopeoManifest = "manifest.json";
std::string skopeo_file(const Digest& digest);
Result<std::vector<ImagePlan>> plan_skopeo_directory(Source& source, const PlanOptions& options);

// Where documents come from. Their size and digest are checked by who asks.
enum class DocumentRole { kManifest, kConfiguration };  // a manifest or an index; an image's configuration
using ReadDocument = std::function<Result<std::string>(const oci_image::Descriptor& descriptor, DocumentRole role,
                                                       const std::string& what)>;
// Asked about the manifest that was chosen, before anything else of the image is read.
using AdmitManifest = std::function<Status(std::string_view bytes, const Digest& digest)>;
// The image behind one manifest or index. `admit` may be empty.
Result<ImagePlan> plan_image(const ReadDocument& read, const oci_image::Descriptor& top,
                             const oci_image::Platform& platform, const std::string& what,
                             const AdmitManifest& admit = {});

// Errc::kNotFound when the image is for another platform; an empty one is any.
Status check_platform(const oci_image::ImageConfig& config, const oci_image::Platform& wanted, std::string_view what);
// OCI chain id of the layers, as hexadecimal digits.
std::string chain_of(const std::vector<Digest>& diff_ids);
// Full name for what a producer wrote: short ones get `registry`.
Result<std::string> full_name(std::string_view text, std::string_view registry);

}  // namespace cooper::image
