// Any bytes as a compressed stream: no crash, and an end.
#include <cstddef>
#include <cstdint>

#include "codec/compression.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cooper::codec::MemorySource source({reinterpret_cast<const char*>(data), size});
  auto plain = cooper::codec::Decompressor::create(source, cooper::codec::Accept::kArchives);
  if (!plain.ok()) return 0;
  std::vector<char> buffer(std::size_t{64} << 10);
  std::size_t total = 0;
  while (total < (std::size_t{16} << 20)) {
    const auto n = (*plain)->read(buffer);
    if (!n.ok() || *n == 0) return 0;
    total += *n;
  }
  return 0;
}
