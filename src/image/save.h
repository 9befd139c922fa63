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
  // kDockerArchive, kOciArchive, kOciDirectory, or for one image kAci or kSkopeoDirectory.
  Transport transport = Transport::kDockerArchive;
  // The file, which is replaced whole, or for the directories a new or empty one.
  std::string path = {};
  // Of one image the name it has there, instead of its own; not of kAci and kSkopeoDirectory, which have none.
  std::string as = {};
  // kOciDirectory: an OCI layout that is at `path` gets the images beside those it has, whose names they take over.
  bool add = false;
  // Instead of a path, for archives: takes the bytes as they come. What fails has been written in part.
  codec::ByteSink* stream = nullptr;
  Progress progress = {};
  // Asked now and then; true ends it with Errc::kCancelled.
  std::function<bool()> cancelled = {};
};

// What is written as a directory and not as a file.
constexpr bool is_directory(Transport transport) {
  return transport == Transport::kOciDirectory || transport == Transport::kSkopeoDirectory;
}

struct SaveResult {
  std::vector<Image> images;  // given_names: those that were written
  std::uint64_t size_bytes = 0;
};

}  // namespace cooper::image
