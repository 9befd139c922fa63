// CONTRACT. The OCI image specification 1.1 (and docker schema 2 under its own media types) as plain values:
// descriptor, index, manifest, image configuration. parse.h reads and validates them, print.h writes them; no I/O here.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"

namespace cooper::spec::oci_image {

struct Platform {
  std::string architecture;  // GOARCH words: amd64 arm64 arm 386 ...
  std::string os;            // linux
  std::string variant;       // v7, v8 ...; may be empty
  auto operator<=>(const Platform&) const = default;
};

struct Descriptor {
  std::string media_type;
  Digest digest;
  std::uint64_t size_bytes = 0;
  std::map<std::string, std::string> annotations;
  std::optional<Platform> platform;
};

struct Index {
  std::string media_type;
  std::vector<Descriptor> manifests;
  std::map<std::string, std::string> annotations;
};

struct Manifest {
  std::string media_type;
  std::string artifact_type;  // not empty: an artifact, not a runnable image
  Descriptor config;
  std::vector<Descriptor> layers;
  std::map<std::string, std::string> annotations;
};

struct History {
  std::string created;
  std::string created_by;
  std::string comment;
  bool empty_layer = false;
};

struct ImageConfig {
  std::string created;  // RFC 3339
  std::string author;
  Platform platform;
  // "config" object: defaults for a container.
  std::string user;  // user, uid, user:group, uid:gid
  std::vector<std::string> env;
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  std::string working_dir;
  std::string stop_signal;
  std::vector<std::string> exposed_ports;  // "80/tcp"
  std::vector<std::string> volumes;        // absolute paths
  std::map<std::string, std::string> labels;
  std::vector<Digest> diff_ids;  // of the uncompressed layers, base first
  std::vector<History> history;
};

// One image in the manifest.json of docker-archive.
struct DockerArchiveEntry {
  std::string config;  // path of the configuration inside the archive
  std::vector<std::string> repo_tags;
  std::vector<std::string> layers;  // paths, base first
};

}  // namespace cooper::spec::oci_image

namespace cooper {
namespace oci_image = spec::oci_image;
}
