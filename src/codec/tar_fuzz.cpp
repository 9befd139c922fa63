// Any bytes as a tar archive: no crash, no data outside the file an entry states, bounded memory.
#include <cstddef>
#include <cstdint>

#include "codec/tar.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  // The first byte chooses how the archive is cut into blocks.
  cooper::codec::MemoryBlocks blocks({reinterpret_cast<const char*>(data) + 1, size - 1}, std::size_t{data[0]} * 8 + 1);
  cooper::codec::tar::Reader reader(blocks);
  cooper::codec::tar::Entry entry;
  while (true) {
    const auto more = reader.next(entry);
    if (!more.ok() || !*more) return 0;
    if (entry.type != cooper::codec::tar::EntryType::kFile || (entry.path.size() & 1) != 0) continue;
    std::uint64_t end = 0;
    while (true) {
      const auto chunk = reader.read();
      if (!chunk.ok()) return 0;
      if (chunk->bytes.empty()) break;
      COOPER_ASSERT(chunk->offset >= end);
      end = chunk->offset + chunk->bytes.size();
      COOPER_ASSERT(end <= entry.size_bytes);
    }
  }
}
