// Layers made of few names, so that they collide: files, links, whiteouts and replaced directories in any order.
// Nothing may reach the directory beside the root, and the tree can be removed afterwards.
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "codec/internal/tar_fixture.h"
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
      if (!builder.apply(blocks).ok()) break;
    }
    (void)builder.finish().ok();
  }
  COOPER_ASSERT(*cooper::io::read_file(scratch / "outside/secret") == "secret");
  const auto outside = cooper::sys::openat(cooper::sys::kCwd, scratch / "outside", O_RDONLY | O_DIRECTORY);
  COOPER_ASSERT(cooper::sys::list_directory(*outside)->size() == 1);
  const auto beside = cooper::sys::openat(cooper::sys::kCwd, scratch.path(), O_RDONLY | O_DIRECTORY);
  COOPER_ASSERT(cooper::sys::list_directory(*beside)->size() == 2);
  return 0;
}
