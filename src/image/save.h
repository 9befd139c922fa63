// Writing images of the store out again; see Store::save().
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "codec/stream.h"
#include "image/store.h"

namespace cooper::image {

struct SaveOptions {
  // At least one. What is named by an id or a digest keeps all its names, what is named by a name that one.
  std::vector<std::string> references;
  // kDockerArchive, kOciArchive, kOciDirectory, or for one image kAci.
  Transport transport = Transport::kDockerArchive;
  // The file, which is replaced whole, or for kOciDirectory a new or empty directory.
  std::string path = {};
  // Instead of a path, for archives: takes the bytes as they come. What fails has been written in part.
  codec::ByteSink* stream = nullptr;
  Progress progress = {};
  // Asked now and then; true ends it with Errc::kCancelled.
  std::function<bool()> cancelled = {};
};

struct SaveResult {
  std::vector<Image> images;  // given_names: those that were written
  std::uint64_t size_bytes = 0;
};

}  // namespace cooper::image
