// gzip undone by cooper-inflate: a program of its own, which has no user, no file and no network, only memory that it
// shares with us, with compressed bytes for it and room for the others. Faster than codec/gzip.h, on another processor,
// and what a hostile layer may do to a decompressor happens where there is nothing to get.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "codec/stream.h"

namespace cooper::fetch {

inline constexpr const char* kInflateVersion = "2";  // the program's argument; another one is refused

// The program's descriptors: sockets (SOCK_SEQPACKET) for input and output, a pipe for words, and the memory: slots
// with input, after them those with output. Slots are used in turn. Of each the side that fills it sends a size, and
// the other one, when it has no more need of its bytes, sends any size back. Whoever fills may be ahead by all slots.
inline constexpr int kInflateInputFd = 0;
inline constexpr int kInflateOutputFd = 1;
inline constexpr int kInflateStatusFd = 3;
inline constexpr int kInflateMemoryFd = 4;
inline constexpr std::size_t kInflateInputSlots = 4;
inline constexpr std::size_t kInflateInputBytes = std::size_t{256} << 10;
inline constexpr std::size_t kInflateOutputSlots = 4;
inline constexpr std::size_t kInflateOutputBytes = std::size_t{512} << 10;
inline constexpr std::size_t kInflateMemoryBytes =
    kInflateInputSlots * kInflateInputBytes + kInflateOutputSlots * kInflateOutputBytes;
using InflateSize = std::uint32_t;  // a message; 0 for input is the end of the data
constexpr std::size_t inflate_input_offset(std::size_t slot) {
  return slot % kInflateInputSlots * kInflateInputBytes;
}
constexpr std::size_t inflate_output_offset(std::size_t slot) {
  return kInflateInputSlots * kInflateInputBytes + slot % kInflateOutputSlots * kInflateOutputBytes;
}
// The bytes of a message; of the size, which must stay.
inline std::string_view inflate_message(const InflateSize& size) {
  return {reinterpret_cast<const char*>(&size), sizeof size};
}
// Errc::kSystem for the end and for anything that is no size.
Result<std::size_t> receive_inflate_size(BorrowedFd socket);

// What the program writes to its words: kReady when it is confined, before it takes input, and one of the others at its
// end.
enum class InflateWord : char {
  kReady = 'r',
  kGood = 'g',
  kTruncated = 't',
  kFollowed = 'f',
  kCorrupt = 'c',
  kFailed = 'x',
};
// What a codec::GzipReader says of the same bytes.
Status inflate_error(InflateWord word);

class InflatedGzip final : public codec::ByteSource {
 public:
  // Null when the program cannot be used here (it is not there, is of another version, or misses its library): nothing
  // was read from `compressed` then, which is otherwise read by another thread until read() has said that it is at the
  // end or has failed, or until this object goes.
  static std::unique_ptr<InflatedGzip> start(const std::string& program, codec::ByteSource& compressed);
  ~InflatedGzip() override;
  // Errors of `compressed` as they are, those of the program as codec::GzipReader has them; Errc::kSystem when the
  // program ends otherwise. The bytes handed out are a copy that the program cannot change any more.
  Result<std::size_t> read(std::span<char> buffer) override;

 private:
  struct Impl;
  explicit InflatedGzip(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cooper::fetch
