// Any bytes as the start of an image file: no crash, and what is found lies within the file.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "image/internal/file_formats.h"
#include "image/internal/sif.h"

namespace {

void read_sif(std::string_view file) {
  namespace sif = cooper::image::sif;
  const auto header = sif::parse_header(file.substr(0, sif::kHeaderBytes), file.size());
  if (!header.ok()) return;
  const auto root = sif::find_system(file.substr(header->table_offset, header->table_bytes()), *header, file.size());
  if (!root.ok()) return;
  COOPER_ASSERT(root->offset >= sif::kHeaderBytes || root->size == 0);
  COOPER_ASSERT(root->offset <= file.size() && root->size <= file.size() - root->offset);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  const auto found = cooper::image::find_filesystem(file.substr(0, cooper::image::kFormatBytes), size);
  if (found.ok() && *found) COOPER_ASSERT((*found)->size <= size);
  read_sif(file);
  return 0;
}
