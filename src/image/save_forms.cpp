#include <map>
#include <set>

#include "base/strings.h"
#include "image/internal/load.h"
#include "image/internal/paths.h"
#include "image/internal/plan.h"
#include "image/internal/save.h"
#include "image/internal/source.h"
#include "spec/oci_image/media_types.h"
#include "spec/oci_image/print.h"

namespace cooper::image {
namespace {

// What cannot be told from the archive is told with the image it belongs to.
Status of_image(Status status, const PinnedImage& image) {
  if (status.ok()) return status;
  return reload_hint(std::move(status).error(), image.image);
}

oci_image::Index index_of(const Pinned& pinned) {
  oci_image::Index index;
  for (const PinnedImage& one : pinned.images()) {
    oci_image::Descriptor descriptor{.media_type = one.manifest_type,
                                     .digest = one.manifest.digest,
                                     .size_bytes = one.manifest.size_bytes,
                                     .annotations = {},
                                     .platform = {}};
    for (const std::string& name : one.image.given_names) {
      // The whole name twice: podman, skopeo and umoci look for the first, containerd for the second.
      descriptor.annotations = {{std::string(oci_image::kAnnotationRefName), name}};
      if (name.find('/') != std::string::npos)
        descriptor.annotations.emplace(std::string(oci_image::kAnnotationContainerdName), name);
      index.manifests.push_back(descriptor);
    }
    if (one.image.given_names.empty()) index.manifests.push_back(std::move(descriptor));
  }
  return index;
}

std::vector<const PinnedBlob*> blobs_of(const PinnedImage& image) {
  std::vector<const PinnedBlob*> blobs = {&image.manifest, &image.config};
  for (const PinnedLayer& layer : image.layers) blobs.push_back(&layer.blob);
  return blobs;
}

Status add_blob(const Pinned& pinned, const PinnedBlob& blob, const std::string& path, Package& package,
                const ReadStep& step) {
  ASSIGN_OR_RETURN(CheckedBlob source, pinned.open(blob, step));
  return package.add_file(path, blob.size_bytes, source);
}

class DockerArchive {
 public:
  DockerArchive(const Pinned& pinned, Package& package, const SaveSteps& steps)
      : pinned_(pinned), package_(package), steps_(steps) {}

  Status add(const PinnedImage& image) {
    oci_image::DockerArchiveEntry entry{
        .config = std::string(image.config.digest.hex()) + ".json", .repo_tags = image.image.given_names, .layers = {}};
    for (const PinnedLayer& layer : image.layers) {
      entry.layers.push_back(std::string(layer.diff_id.hex()) + ".tar");
      if (written_.insert(layer.diff_id).second) RETURN_IF_ERROR(add_layer(layer, entry.layers.back()));
    }
    RETURN_IF_ERROR(add_blob(pinned_, image.config, entry.config, package_, steps_.counted(image.config)));
    for (const std::string& name : entry.repo_tags) {
      const std::size_t colon = name.rfind(':');
      if (!image.layers.empty())
        repositories_[name.substr(0, colon)][name.substr(colon + 1)] = image.layers.back().diff_id.hex();
    }
    entries_.push_back(std::move(entry));
    return {};
  }

  Status finish() {
    RETURN_IF_ERROR(package_.add_text("manifest.json", oci_image::print(entries_)));
    if (repositories_.empty()) return {};
    return package_.add_text("repositories", oci_image::print_docker_repositories(repositories_));
  }

 private:
  // In an archive that cannot be rewound the size comes before the bytes: where the record does not tell it, the layer
  // is decompressed twice.
  Result<std::uint64_t> plain_size(const PinnedLayer& layer) {
    if (layer.plain_bytes) return *layer.plain_bytes;
    ASSIGN_OR_RETURN(CheckedBlob stored, pinned_.open(layer.blob, steps_.only));
    ASSIGN_OR_RETURN(const auto plain, PlainLayer::open(std::move(stored), layer.diff_id));
    return plain->measure();
  }

  Status add_layer(const PinnedLayer& layer, const std::string& path) {
    ASSIGN_OR_RETURN(const std::uint64_t size, plain_size(layer));
    ASSIGN_OR_RETURN(CheckedBlob stored, pinned_.open(layer.blob, steps_.counted(layer.blob)));
    ASSIGN_OR_RETURN(const auto plain, PlainLayer::open(std::move(stored), layer.diff_id));
    return package_.add_file(path, size, *plain);
  }

  const Pinned& pinned_;
  Package& package_;
  const SaveSteps& steps_;
  std::set<Digest> written_;
  std::vector<oci_image::DockerArchiveEntry> entries_;
  std::map<std::string, std::map<std::string, std::string>> repositories_;
};

}  // namespace

Status write_oci_layout(const Pinned& pinned, Package& package, const SaveSteps& steps) {
  RETURN_IF_ERROR(package.add_text("oci-layout", oci_image::print_layout_file()));
  RETURN_IF_ERROR(package.add_text("index.json", oci_image::print(index_of(pinned))));
  RETURN_IF_ERROR(package.add_directory("blobs"));
  std::set<std::string, std::less<>> directories;
  std::set<Digest> written;
  for (const PinnedImage& image : pinned.images()) {
    for (const PinnedBlob* blob : blobs_of(image)) {
      if (!written.insert(blob->digest).second) continue;
      if (directories.insert(std::string(blob->digest.algorithm())).second)
        RETURN_IF_ERROR(package.add_directory(blob_dir(blob->digest.algorithm())));
      RETURN_IF_ERROR(of_image(add_blob(pinned, *blob, blob_path(blob->digest), package, steps.counted(*blob)), image));
    }
  }
  return package.finish();
}

Status write_skopeo_directory(const Pinned& pinned, Package& package, const SaveSteps& steps) {
  const PinnedImage& image = pinned.images().front();
  RETURN_IF_ERROR(package.add_text(std::string(kSkopeoVersionFile), std::string(kSkopeoDirMark) + ": 1.1\n"));
  std::set<Digest> written;
  for (const PinnedBlob* blob : blobs_of(image)) {
    if (!written.insert(blob->digest).second) continue;
    const std::string name = blob == &image.manifest ? std::string(kSkopeoManifest) : skopeo_file(blob->digest);
    RETURN_IF_ERROR(of_image(add_blob(pinned, *blob, name, package, steps.counted(*blob)), image));
  }
  return package.finish();
}

Status write_docker_archive(const Pinned& pinned, Package& package, const SaveSteps& steps) {
  DockerArchive archive(pinned, package, steps);
  for (const PinnedImage& image : pinned.images()) RETURN_IF_ERROR(of_image(archive.add(image), image));
  RETURN_IF_ERROR(archive.finish());
  return package.finish();
}

}  // namespace cooper::image
