#include <zstd.h>

#include <vector>

#include "codec/internal/compressors.h"

namespace cooper::codec {
namespace {

struct ContextTraits {
  using type = ZSTD_CCtx*;
  static type null() { return nullptr; }
  static void release(type context) { (void)ZSTD_freeCCtx(context); }
};

class ZstdWriter final : public Compressor {
 public:
  explicit ZstdWriter(ByteSink& sink) : sink_(sink), context_(ZSTD_createCCtx()), buffer_(ZSTD_CStreamOutSize()) {
    COOPER_ASSERT(context_);
    COOPER_ASSERT(ZSTD_isError(ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_checksumFlag, 1)) == 0);
  }
  Status write(std::string_view bytes) override { return run(bytes, ZSTD_e_continue); }
  Status finish() override { return run({}, ZSTD_e_end); }

 private:
  Status run(std::string_view bytes, ZSTD_EndDirective what) {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    while (true) {
      ZSTD_outBuffer out{buffer_.data(), buffer_.size(), 0};
      const std::size_t left = ZSTD_compressStream2(context_.get(), &out, &in, what);
      if (ZSTD_isError(left) != 0) return Error(Errc::kSystem, std::string("zstd: ") + ZSTD_getErrorName(left));
      if (out.pos > 0) RETURN_IF_ERROR(sink_.write({buffer_.data(), out.pos}));
      if (what == ZSTD_e_end ? left == 0 : in.pos == in.size) return {};
    }
  }

  ByteSink& sink_;
  UniqueHandle<ContextTraits> context_;
  std::vector<char> buffer_;
};

}  // namespace

std::unique_ptr<Compressor> make_zstd_compressor(ByteSink& sink) {
  return std::make_unique<ZstdWriter>(sink);
}

}  // namespace cooper::codec
