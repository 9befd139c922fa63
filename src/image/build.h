// An image from a directory; see Store::build().
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "codec/compression.h"
#include "image/store.h"

namespace cooper::image {

// What a container of the image is like unless it is told otherwise; what is not given is as in the base.
struct BuildConfig {
  std::optional<std::vector<std::string>> entrypoint = {};  // a new one takes the base's command away
  std::optional<std::vector<std::string>> cmd = {};
  std::vector<std::string> env = {};  // NAME=VALUE
  std::optional<std::string> user = {};
  std::optional<std::string> working_dir = {};
  std::optional<std::string> stop_signal = {};
  std::optional<std::string> author = {};
  std::map<std::string, std::string> labels = {};
  std::vector<std::string> ports = {};    // "80", "53/udp"
  std::vector<std::string> volumes = {};  // absolute paths
};

struct BuildOptions {
  std::string directory;
  std::string name = {};
  std::string from = {};  // the image below; empty: none
  BuildConfig config = {};
  std::map<std::string, std::string> annotations = {};  // of the manifest
  std::string message = {};                             // for the history
  // Of an image without another below it; default: this host's.
  std::optional<oci_image::Platform> platform = {};
  std::optional<std::pair<std::uint32_t, std::uint32_t>> owner = {};  // of all files; none: their own
  std::vector<std::string> excludes = {};  // patterns (ignore_rules.h), after those of the ignore file
  std::string ignore_file = {};            // empty: .cooperignore of the directory, if there is one
  codec::Compression compression = codec::Compression::kGzip;
  // Seconds since 1970 that the image is of; no file in it is newer. None: the time of its newest file.
  std::optional<std::int64_t> created_s = {};
  // Asked about the open directory before anything in it is read; an error ends the work.
  std::function<Status(BorrowedFd directory)> admit = {};
  // Bytes of the directory read; total 0: not known. Called from one thread at a time.
  Progress progress = {};
  // Files that are left out although nobody asked for it.
  std::function<void(const std::string& path, std::string_view why)> skipped = {};
  // Asked now and then; true ends it with Errc::kCancelled.
  std::function<bool()> cancelled = {};
};

inline constexpr std::string_view kIgnoreFile = ".cooperignore";

}  // namespace cooper::image
