#include "codec/xz.h"

#include <lzma.h>

namespace cooper::codec {
namespace {

constexpr std::uint64_t kMemoryLimit = std::uint64_t{128} << 20;

Error xz_error(lzma_ret code) {
  if (code == LZMA_MEM_ERROR) return Error(Errc::kSystem, "xz: out of memory", ENOMEM);
  if (code == LZMA_MEMLIMIT_ERROR) return Error(Errc::kLimit, "xz stream needs more than 128 MiB of memory");
  if (code == LZMA_BUF_ERROR) return Error(Errc::kCorrupt, "xz stream is truncated");
  if (code == LZMA_OPTIONS_ERROR) return Error(Errc::kUnsupported, "xz stream has a filter that is not known");
  return Error(Errc::kCorrupt, "xz stream is corrupt, or followed by other bytes");
}

}  // namespace

struct XzReader::Impl {
  explicit Impl(ByteSource& source) : input(source), buffer(std::size_t{128} << 10) {
    opened = lzma_stream_decoder(&stream, kMemoryLimit, LZMA_CONCATENATED);
  }
  ~Impl() { lzma_end(&stream); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  ByteSource& input;
  std::vector<char> buffer;
  lzma_stream stream = LZMA_STREAM_INIT;
  lzma_ret opened = LZMA_OK;
  bool at_end = false;  // of the input
  bool ended = false;
};

XzReader::XzReader(ByteSource& compressed) : impl_(std::make_unique<Impl>(compressed)) {}
XzReader::~XzReader() = default;

Result<std::size_t> XzReader::read(std::span<char> buffer) {
  Impl& self = *impl_;
  if (self.opened != LZMA_OK) return xz_error(self.opened);
  if (self.ended || buffer.empty()) return std::size_t{0};
  lzma_stream& stream = self.stream;
  stream.next_out = reinterpret_cast<std::uint8_t*>(buffer.data());
  stream.avail_out = buffer.size();
  while (stream.avail_out == buffer.size() && !self.ended) {
    if (stream.avail_in == 0 && !self.at_end) {
      ASSIGN_OR_RETURN(const std::size_t n, self.input.read(self.buffer));
      stream.next_in = reinterpret_cast<const std::uint8_t*>(self.buffer.data());
      stream.avail_in = n;
      self.at_end = n == 0;
    }
    const lzma_ret code = lzma_code(&stream, self.at_end ? LZMA_FINISH : LZMA_RUN);
    if (code == LZMA_STREAM_END) {
      self.ended = true;
    } else if (code != LZMA_OK) {
      return xz_error(code);
    }
  }
  return buffer.size() - stream.avail_out;
}

}  // namespace cooper::codec
