// gzip undone by cooper-inflate: a program of its own, which has no user, no file and no network, only compressed bytes
// on its standard input and the others on its standard output. Faster than codec/gzip.h, on another processor, and what
// a hostile layer may do to a decompressor happens where there is nothing to get.
#pragma once

#include <memory>
#include <string>

#include "codec/stream.h"

namespace cooper::fetch {

inline constexpr int kInflateStatusFd = 3;
inline constexpr const char* kInflateVersion = "1";  // the program's argument; another one is refused
// What the program writes to descriptor 3: kReady when it is confined, before it reads, and one of the others at its
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
  // program ends otherwise.
  Result<std::size_t> read(std::span<char> buffer) override;

 private:
  struct Impl;
  explicit InflatedGzip(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cooper::fetch
