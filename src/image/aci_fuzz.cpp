// Any bytes as the tar of an ACI: no crash, and the layer made of what is taken for one holds nothing but files below
// its root that a whitelist keeps.
#include <cstddef>
#include <cstdint>

#include "image/internal/aci.h"
#include "image/internal/layer_path.h"

namespace {

using cooper::image::OpenTar;
using cooper::image::PathFilter;

class BoundedSink final : public cooper::codec::ByteSink {
 public:
  cooper::Status write(std::string_view bytes) override {
    if (text.size() + bytes.size() > (std::size_t{1} << 22)) return cooper::Error(cooper::Errc::kNoSpace, "full");
    text += bytes;
    return {};
  }
  std::string text;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const OpenTar tar = [&]() -> cooper::Result<std::unique_ptr<cooper::codec::BlockSource>> {
    return std::unique_ptr<cooper::codec::BlockSource>(std::make_unique<cooper::codec::MemoryBlocks>(bytes));
  };
  if (!cooper::image::read_aci_manifest(tar).ok()) return 0;
  const PathFilter filter({"/a", "/b/c", "/b/d/", "/l"});
  BoundedSink layer;
  if (!cooper::image::write_layer(tar, cooper::image::TarKind::kAci, filter, layer).ok()) return 0;
  cooper::codec::MemoryBlocks blocks(layer.text);
  cooper::codec::tar::Reader reader(blocks);
  cooper::codec::tar::Entry entry;
  while (true) {
    const auto more = reader.next(entry);
    COOPER_ASSERT(more.ok());
    if (!*more) return 0;
    const auto clean = cooper::image::clean_path(entry.path);
    COOPER_ASSERT(clean.ok() && filter.keeps(*clean, entry.type));
  }
}
