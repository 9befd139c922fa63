// The pod manifest: everything prepare() decided, so that a run needs neither the image store's index nor the caller
// any more.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/ids.h"
#include "pod/pod.h"
#include "stage1/flavor.h"

namespace cooper::pod {

// A build reads its own version and older ones.
inline constexpr int kManifestVersion = 1;
inline constexpr std::size_t kMaxManifestBytes = std::size_t{16} << 20;

struct AppManifest {
  std::string image;  // as asked
  std::string image_id;
  std::string chain;  // of the tree, for Store::release_tree; empty: the image is a file of the host
  std::map<std::string, std::string> labels;
  stage1::App app;  // without upper_dir, work_dir, image_dir and mount_point: they follow from where the pod is
};

struct PodManifest {
  PodUuid uuid;
  std::string name;
  std::string hostname;
  Network network = Network::kNone;
  bool single = false;
  bool remove_on_exit = false;
  std::int64_t created_unix_ms = 0;
  int stop_timeout_ms = 10000;
  std::uint64_t log_max_bytes = 0;
  std::map<std::string, std::string> labels, annotations;
  std::vector<AppManifest> apps;
  stage1::IdMaps id_maps;

  const AppManifest* find(std::string_view app) const;
  // "'web', 'db'", for messages.
  std::string app_names() const;
};

std::string print_manifest(const PodManifest& manifest);
// Unknown members are ignored. Errc::kUnsupported for a newer version, kInvalidArgument (with JSON pointer) for the
// rest.
Result<PodManifest> parse_manifest(std::string text);

// From the pod's directory. Errc::kCorrupt when it is missing or does not parse: the preparation never ended, or the
// disk lost it.
Result<PodManifest> read_manifest(BorrowedFd pod_dir);

std::string_view network_word(Network network);

}  // namespace cooper::pod
