#include "codec/zstd.h"

#include <zstd.h>
#include <zstd_errors.h>

namespace cooper::codec {
namespace {

struct ContextTraits {
  using type = ZSTD_DCtx*;
  static type null() { return nullptr; }
  static void release(type context) { (void)ZSTD_freeDCtx(context); }
};

}  // namespace

struct ZstdReader::Impl {
  explicit Impl(ByteSource& source) : input(source), context(ZSTD_createDCtx()), buffer(ZSTD_DStreamInSize()) {
    COOPER_ASSERT(context);
  }
  ByteSource& input;
  UniqueHandle<ContextTraits> context;
  std::vector<char> buffer;
  ZSTD_inBuffer pending{};
  bool frame_open = false;  // bytes of a frame were read and its end was not
};

ZstdReader::ZstdReader(ByteSource& compressed) : impl_(std::make_unique<Impl>(compressed)) {}
ZstdReader::~ZstdReader() = default;

Result<std::size_t> ZstdReader::read(std::span<char> buffer) {
  Impl& self = *impl_;
  if (buffer.empty()) return std::size_t{0};
  ZSTD_outBuffer out{buffer.data(), buffer.size(), 0};
  while (out.pos == 0) {
    bool at_end = false;
    if (self.pending.pos == self.pending.size) {
      ASSIGN_OR_RETURN(const std::size_t n, self.input.read(self.buffer));
      self.pending = {self.buffer.data(), n, 0};
      at_end = n == 0;
    }
    // At the end of the input the decoder may still hold output.
    if (at_end && !self.frame_open) return std::size_t{0};
    const std::size_t hint = ZSTD_decompressStream(self.context.get(), &out, &self.pending);
    if (ZSTD_isError(hint) != 0) {
      if (ZSTD_getErrorCode(hint) == ZSTD_error_frameParameter_windowTooLarge) {
        return Error(Errc::kLimit, "zstd stream needs a window of more than 128 MiB");
      }
      return Error(Errc::kCorrupt, std::string("zstd stream is corrupt: ") + ZSTD_getErrorName(hint));
    }
    self.frame_open = hint != 0;
    if (at_end && out.pos == 0 && self.frame_open) return Error(Errc::kCorrupt, "zstd stream is truncated");
  }
  return out.pos;
}

}  // namespace cooper::codec
