// Holds libisal against zlib: whatever the bytes, both find the same in them.
#include <cstdint>
#include <string>

#include "codec/gzip.h"
#include "inflate/gunzip.h"

using namespace cooper;

namespace {

constexpr std::size_t kMaxBytes = std::size_t{64} << 20;  // a bomb is none of ours

struct Text final : inflate::Pieces {
  std::string bytes;
  Status add(std::string_view more) {
    if (bytes.size() + more.size() > kMaxBytes) return Error(Errc::kLimit, "long enough");
    bytes += more;
    return {};
  }
  Result<std::span<char>> room() override { return std::span<char>(piece_); }
  Status filled(std::size_t count) override { return add({piece_, count}); }

 private:
  char piece_[4096];
};

Status by_zlib(std::string_view data, Text& text) {
  codec::MemorySource source(data);
  codec::GzipReader reader(source);
  std::string buffer(std::size_t{128} << 10, '\0');
  while (true) {
    ASSIGN_OR_RETURN(const std::size_t n, reader.read(buffer));
    if (n == 0) return {};
    RETURN_IF_ERROR(text.add(std::string_view(buffer).substr(0, n)));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Text ours;
  Text theirs;
  codec::MemorySource source(bytes);
  codec::BufferedBlocks blocks(source, 1000);
  const Status fast = inflate::gunzip(blocks, ours);
  const Status slow = by_zlib(bytes, theirs);
  if (fast.ok() && slow.ok() && ours.bytes != theirs.bytes) __builtin_trap();
  // Of the optional parts of a header zlib is stricter; whoever is, must not be the one that reads more.
  if (slow.ok() && !fast.ok()) __builtin_trap();
  return 0;
}
