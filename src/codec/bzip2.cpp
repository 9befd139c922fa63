#include "codec/bzip2.h"

#include <bzlib.h>

#include <algorithm>
#include <limits>

namespace cooper::codec {

struct Bzip2Reader::Impl {
  explicit Impl(ByteSource& source) : input(source), buffer(std::size_t{128} << 10) {}
  ~Impl() { close(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void close() {
    if (open) (void)BZ2_bzDecompressEnd(&stream);
    open = false;
  }
  // False at the end of the input.
  Result<bool> refill() {
    ASSIGN_OR_RETURN(const std::size_t n, input.read(buffer));
    stream.next_in = buffer.data();
    stream.avail_in = static_cast<unsigned>(n);
    return n != 0;
  }
  // The next stream; false when there is none.
  Result<bool> begin() {
    if (stream.avail_in == 0) {
      ASSIGN_OR_RETURN(const bool more, refill());
      if (!more) return false;
    }
    if (*stream.next_in != 'B') return Error(Errc::kCorrupt, "bzip2 stream is followed by other bytes");
    if (BZ2_bzDecompressInit(&stream, 0, 0) != BZ_OK) return Error(Errc::kSystem, "bzip2: out of memory", ENOMEM);
    open = true;
    return true;
  }

  ByteSource& input;
  std::vector<char> buffer;
  bz_stream stream{};
  bool open = false;
  bool ended = false;
};

Bzip2Reader::Bzip2Reader(ByteSource& compressed) : impl_(std::make_unique<Impl>(compressed)) {}
Bzip2Reader::~Bzip2Reader() = default;

Result<std::size_t> Bzip2Reader::read(std::span<char> buffer) {
  Impl& self = *impl_;
  if (self.ended || buffer.empty()) return std::size_t{0};
  bz_stream& stream = self.stream;
  const auto room = static_cast<unsigned>(std::min<std::size_t>(buffer.size(), std::numeric_limits<unsigned>::max()));
  std::size_t done = 0;
  while (done == 0) {
    if (!self.open) {
      ASSIGN_OR_RETURN(const bool more, self.begin());
      if (!more) {
        self.ended = true;
        return std::size_t{0};
      }
    }
    if (stream.avail_in == 0) {
      ASSIGN_OR_RETURN(const bool more, self.refill());
      if (!more) return Error(Errc::kCorrupt, "bzip2 stream is truncated");
    }
    stream.next_out = buffer.data();
    stream.avail_out = room;
    const int code = BZ2_bzDecompress(&stream);
    if (code == BZ_MEM_ERROR) return Error(Errc::kSystem, "bzip2: out of memory", ENOMEM);
    if (code != BZ_OK && code != BZ_STREAM_END) return Error(Errc::kCorrupt, "bzip2 stream is corrupt");
    done = room - stream.avail_out;
    if (code == BZ_STREAM_END) self.close();
  }
  return done;
}

}  // namespace cooper::codec
