// For the tests of this room: a scratch directory, and OCI layouts written into it.
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "codec/digest.h"
#include "io/file.h"
#include "spec/oci_image/media_types.h"
#include "spec/oci_image/platform.h"
#include "spec/oci_image/print.h"
#include "spec/oci_image/types.h"
#include "sys/file.h"

namespace cooper::image {

class ScratchDir {
 public:
  ScratchDir() : path_("/tmp/cooper-image-test-XXXXXX") { COOPER_ASSERT(::mkdtemp(path_.data()) != nullptr); }
  ~ScratchDir() { (void)!io::remove_tree(sys::kCwd, path_).ok(); }
  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline void write_test_file(const std::string& path, std::string_view bytes) {
  COOPER_ASSERT(io::make_directories(path.substr(0, path.rfind('/'))).ok());
  const Status written = io::write_file_atomic(path, bytes);
  COOPER_ASSERT(written.ok());
}

// Writes an OCI layout whose pieces can be bent before they are used.
class LayoutFixture {
 public:
  explicit LayoutFixture(std::string dir) : dir_(std::move(dir)) {
    write_test_file(dir_ + "/oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
  }

  oci_image::Descriptor blob(std::string_view bytes, std::string_view media_type) {
    const Digest digest = codec::digest_of(bytes);
    write_test_file(dir_ + "/blobs/sha256/" + std::string(digest.hex()), bytes);
    return {.media_type = std::string(media_type),
            .digest = digest,
            .size_bytes = bytes.size(),
            .annotations = {},
            .platform = {}};
  }
  // A manifest for plain layers; its descriptor.
  oci_image::Descriptor image(const std::vector<std::string>& layers,
                              oci_image::Platform platform = oci_image::host_platform()) {
    oci_image::ImageConfig config;
    config.platform = std::move(platform);
    config.created = "2024-01-02T03:04:05Z";
    config.cmd = {"true"};
    for (const std::string& layer : layers) config.diff_ids.push_back(codec::digest_of(layer));
    return image(layers, config);
  }
  oci_image::Descriptor image(const std::vector<std::string>& layers, const oci_image::ImageConfig& config) {
    oci_image::Manifest manifest{.media_type = {},
                                 .artifact_type = {},
                                 .config = blob(oci_image::print(config), oci_image::kMediaTypeConfig),
                                 .layers = {},
                                 .annotations = {}};
    for (const std::string& layer : layers) manifest.layers.push_back(blob(layer, oci_image::kMediaTypeLayer));
    oci_image::Descriptor descriptor = blob(oci_image::print(manifest), oci_image::kMediaTypeManifest);
    descriptor.platform = config.platform;
    return descriptor;
  }
  static oci_image::Descriptor named(oci_image::Descriptor descriptor, const std::string& name) {
    descriptor.annotations[std::string(oci_image::kAnnotationRefName)] = name;
    return descriptor;
  }
  void index(const std::vector<oci_image::Descriptor>& manifests) {
    write_test_file(dir_ + "/index.json",
                    oci_image::print(oci_image::Index{.media_type = {}, .manifests = manifests, .annotations = {}}));
  }
  const std::string& dir() const { return dir_; }
  std::string blob_file(const Digest& digest) const { return dir_ + "/blobs/sha256/" + std::string(digest.hex()); }

 private:
  std::string dir_;
};

}  // namespace cooper::image
