#include "codec/gzip.h"

#define ZLIB_CONST
#include <zlib.h>

#include <algorithm>
#include <limits>

#include "base/strings.h"

namespace cooper::codec {

struct GzipReader::Impl {
  explicit Impl(ByteSource& source) : input(source), buffer(std::size_t{256} << 10) {
    // 15 window bits, 16: gzip wrapper only.
    COOPER_ASSERT(inflateInit2(&stream, 15 + 16) == Z_OK);
  }
  ~Impl() { (void)inflateEnd(&stream); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  // False at the end of the input.
  Result<bool> refill() {
    ASSIGN_OR_RETURN(const std::size_t n, input.read(buffer));
    stream.next_in = reinterpret_cast<const Bytef*>(buffer.data());
    stream.avail_in = static_cast<uInt>(n);
    return n != 0;
  }
  Result<bool> next_member();

  ByteSource& input;
  std::vector<char> buffer;
  z_stream stream{};
  bool between_members = false;
  bool ended = false;
};

// After a member: true when another one follows.
Result<bool> GzipReader::Impl::next_member() {
  bool padding = false;
  while (true) {
    if (stream.avail_in == 0) {
      ASSIGN_OR_RETURN(const bool more, refill());
      if (!more) return false;
    }
    if (*stream.next_in != 0) break;
    padding = true;
    ++stream.next_in;
    --stream.avail_in;
  }
  if (padding || *stream.next_in != 0x1f) return Error(Errc::kCorrupt, "gzip stream is followed by other bytes");
  (void)inflateReset(&stream);
  return true;
}

GzipReader::GzipReader(ByteSource& compressed) : impl_(std::make_unique<Impl>(compressed)) {}
GzipReader::~GzipReader() = default;

Result<std::size_t> GzipReader::read(std::span<char> buffer) {
  Impl& self = *impl_;
  if (self.ended || buffer.empty()) return std::size_t{0};
  z_stream& stream = self.stream;
  stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
  stream.avail_out = static_cast<uInt>(std::min<std::size_t>(buffer.size(), std::numeric_limits<uInt>::max()));
  const uInt room = stream.avail_out;
  while (stream.avail_out == room) {
    if (self.between_members) {
      ASSIGN_OR_RETURN(const bool more, self.next_member());
      if (!more) {
        self.ended = true;
        return std::size_t{0};
      }
      self.between_members = false;
    }
    if (stream.avail_in == 0) {
      ASSIGN_OR_RETURN(const bool more, self.refill());
      if (!more) return Error(Errc::kCorrupt, "gzip stream is truncated");
    }
    const int code = inflate(&stream, Z_NO_FLUSH);
    if (code == Z_STREAM_END) {
      self.between_members = true;
    } else if (code != Z_OK && code != Z_BUF_ERROR) {
      if (code == Z_MEM_ERROR) return Error(Errc::kSystem, "gzip: out of memory", ENOMEM);
      return Error(Errc::kCorrupt,
                   std::string("gzip stream is corrupt: ") + (stream.msg != nullptr ? stream.msg : "bad data"));
    }
  }
  return static_cast<std::size_t>(room - stream.avail_out);
}

}  // namespace cooper::codec
