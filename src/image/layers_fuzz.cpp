// Layers made of few names, so that they collide: files, links, whiteouts and replaced directories in any order.
// Nothing may reach the directory beside the root, the tree can be removed afterwards, and the model of the same layers
// refuses what the tree refuses and is equal to it otherwise.
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "codec/internal/tar_fixture.h"
#include "image/internal/compare.h"
#include "image/internal/file_model.h"
#include "image/internal/test_fixture.h"
#include "image/internal/tree_builder.h"

namespace {

using cooper::codec::tar::TarFixture;

constexpr std::array<const char*, 16> kParts = {
    "a",     "b",    "c",         "..",         ".",  "",    ".wh.a", ".wh..wh..opq",
    ".wh.b", ".wh.", ".wh..wh.x", "../outside", "/a", "a/b", "b/a",   "secret"};
constexpr std::array<char, 8> kTypes = {'0', '0', '5', '5', '2', '2', '1', '6'};

std::string name_from(std::uint8_t byte) {
  return std::string(kParts[byte & 15]) + "/" + kParts[byte >> 4];
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  (void)::umask(0);
  const cooper::image::ScratchDir scratch;
  COOPER_ASSERT(cooper::io::make_directories(scratch / "root").ok());
  cooper::image::write_test_file(scratch / "outside/secret", "secret");
  {
    auto root = cooper::sys::openat(cooper::sys::kCwd, scratch / "root", O_RDONLY | O_DIRECTORY);
    cooper::image::TreeBuilder builder(*root);
    cooper::image::FileModel model;
    bool whole = true;
    std::size_t at = 0;
    for (int layer = 0; layer < 3 && at + 3 <= size; ++layer) {
      TarFixture tar;
      for (int entry = 0; entry < 12 && at + 3 <= size; ++entry, at += 3) {
        tar.add({.path = name_from(data[at]),
                 .data = "x",
                 .type = kTypes[data[at + 1] & 7],
                 .mode = std::uint32_t{data[at + 1]} << 4,
                 .uid = ::geteuid(),
                 .gid = ::getegid(),
                 .link = name_from(data[at + 2])});
      }
      const std::string bytes = tar.finish();
      cooper::codec::MemoryBlocks blocks(bytes);
      cooper::codec::MemoryBlocks again(bytes);
      whole = builder.apply(blocks).ok();
      COOPER_ASSERT(model.apply(again).ok() == whole);
      if (!whole) break;
    }
    whole = builder.finish().ok() && whole;
    const auto check = cooper::image::compare_with_disk(model, *root, *root, cooper::image::Medium::kDisk,
                                                        [](std::uint64_t) { return cooper::ok_status(); });
    COOPER_ASSERT(!whole || check->changes.empty());
  }
  COOPER_ASSERT(*cooper::io::read_file(scratch / "outside/secret") == "secret");
  const auto outside = cooper::sys::openat(cooper::sys::kCwd, scratch / "outside", O_RDONLY | O_DIRECTORY);
  COOPER_ASSERT(cooper::sys::list_directory(*outside)->size() == 1);
  const auto beside = cooper::sys::openat(cooper::sys::kCwd, scratch.path(), O_RDONLY | O_DIRECTORY);
  COOPER_ASSERT(cooper::sys::list_directory(*beside)->size() == 2);
  return 0;
}
