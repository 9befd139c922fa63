#define ZLIB_CONST
#include <zlib.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "codec/internal/compressors.h"

namespace cooper::codec {
namespace {

class GzipWriter final : public Compressor {
 public:
  explicit GzipWriter(ByteSink& sink) : sink_(sink), buffer_(std::size_t{128} << 10) {
    // 15 window bits, 16: gzip wrapper, whose header has neither a time nor a name.
    COOPER_ASSERT(deflateInit2(&stream_, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  }
  ~GzipWriter() override { (void)deflateEnd(&stream_); }
  GzipWriter(const GzipWriter&) = delete;
  GzipWriter& operator=(const GzipWriter&) = delete;

  Status write(std::string_view bytes) override {
    while (!bytes.empty()) {
      const std::size_t n = std::min<std::size_t>(bytes.size(), std::numeric_limits<uInt>::max());
      stream_.next_in = reinterpret_cast<const Bytef*>(bytes.data());
      stream_.avail_in = static_cast<uInt>(n);
      RETURN_IF_ERROR(run(Z_NO_FLUSH));
      bytes.remove_prefix(n);
    }
    return {};
  }
  Status finish() override { return run(Z_FINISH); }

 private:
  Status run(int flush) {
    do {
      stream_.next_out = reinterpret_cast<Bytef*>(buffer_.data());
      stream_.avail_out = static_cast<uInt>(buffer_.size());
      // Z_BUF_ERROR: there was nothing to do.
      COOPER_ASSERT(deflate(&stream_, flush) != Z_STREAM_ERROR);
      const std::size_t made = buffer_.size() - stream_.avail_out;
      if (made > 0) RETURN_IF_ERROR(sink_.write({buffer_.data(), made}));
    } while (stream_.avail_out == 0);
    return {};
  }

  ByteSink& sink_;
  std::vector<char> buffer_;
  z_stream stream_{};
};

}  // namespace

std::unique_ptr<Compressor> make_gzip_compressor(ByteSink& sink) {
  return std::make_unique<GzipWriter>(sink);
}

}  // namespace cooper::codec
