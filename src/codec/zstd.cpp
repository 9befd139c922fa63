#include "codec/zstd.h"

#include <zstd.h>
#include <zstd_errors.h>

#include <bit>

#include "base/strings.h"

namespace cooper::codec {
namespace {

struct ContextTraits {
  using type = ZSTD_DCtx*;
  static type null() { return nullptr; }
  static void release(type context) { (void)ZSTD_freeDCtx(context); }
};

}  // namespace

struct ZstdReader::Impl {
  Impl(ByteSource& source, std::size_t max_window)
      : input(source), max_window_bytes(max_window), context(ZSTD_createDCtx()), buffer(ZSTD_DStreamInSize()) {
    COOPER_ASSERT(context && std::has_single_bit(max_window));
    const std::size_t set = ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, std::countr_zero(max_window));
    COOPER_ASSERT(ZSTD_isError(set) == 0);
  }
  ByteSource& input;
  std::size_t max_window_bytes;
  UniqueHandle<ContextTraits> context;
  std::vector<char> buffer;
  ZSTD_inBuffer pending{};
  bool frame_open = false;  // bytes of a frame were read and its end was not
};

ZstdReader::ZstdReader(ByteSource& compressed, std::size_t max_window_bytes)
    : impl_(std::make_unique<Impl>(compressed, max_window_bytes)) {}
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
        return Error(Errc::kLimit,
                     "zstd stream needs a window of more than " + std::to_string(self.max_window_bytes >> 20) + " MiB")
            .with_hint("recompress it without --long and --ultra, or with gzip");
      }
      return Error(Errc::kCorrupt, std::string("zstd stream is corrupt: ") + ZSTD_getErrorName(hint));
    }
    self.frame_open = hint != 0;
    if (at_end && out.pos == 0 && self.frame_open) return Error(Errc::kCorrupt, "zstd stream is truncated");
  }
  return out.pos;
}

}  // namespace cooper::codec
