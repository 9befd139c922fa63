#include "codec/compressor.h"

#include "base/strings.h"
#include "codec/internal/compressors.h"

namespace cooper::codec {
namespace {

class AsItIs final : public Compressor {
 public:
  explicit AsItIs(ByteSink& sink) : sink_(sink) {}
  Status write(std::string_view bytes) override { return sink_.write(bytes); }
  Status finish() override { return {}; }

 private:
  ByteSink& sink_;
};

}  // namespace

Result<std::unique_ptr<Compressor>> make_compressor(Compression compression, ByteSink& sink) {
  switch (compression) {
    case Compression::kNone:
      return std::unique_ptr<Compressor>(std::make_unique<AsItIs>(sink));
    case Compression::kGzip:
      return make_gzip_compressor(sink);
    case Compression::kZstd:
      return make_zstd_compressor(sink);
    default:
      return Error(Errc::kUnsupported, "nothing is written in " + std::string(to_string(compression)));
  }
}

}  // namespace cooper::codec
