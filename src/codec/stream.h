// Byte streams between descriptors, decompressors and archive readers. Single-threaded objects; each may live on its
// own thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::codec {

// Pull: copies the next bytes out.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Fills at least one byte unless the end is reached: 0 is the end, and stays the end.
  virtual Result<std::size_t> read(std::span<char> buffer) = 0;
};

// Reads until the buffer is full or the source ends.
Result<std::size_t> read_full(ByteSource& source, std::span<char> buffer);

// Pull without a copy: hands out views.
class BlockSource {
 public:
  virtual ~BlockSource() = default;
  // The next bytes; empty is the end. Valid until the next call.
  virtual Result<std::string_view> next() = 0;
  // Passes over up to `bytes` bytes that follow those handed out without touching them. The number passed over may be
  // smaller than asked, also 0: the caller goes on with next().
  virtual Result<std::uint64_t> skip(std::uint64_t bytes) {
    (void)bytes;
    return std::uint64_t{0};
  }
};

// A descriptor read from its current position (pipes too). Borrows the descriptor.
class FdSource final : public ByteSource {
 public:
  explicit FdSource(BorrowedFd fd) : fd_(fd) {}
  Result<std::size_t> read(std::span<char> buffer) override;

 private:
  BorrowedFd fd_;
};

// Bytes [offset, offset + size) of a file, by pread: the descriptor's own position does not matter.
class RangeSource final : public ByteSource {
 public:
  RangeSource(BorrowedFd fd, std::uint64_t offset, std::uint64_t size) : fd_(fd), offset_(offset), left_(size) {}
  // Errc::kCorrupt when the file ends before the range does.
  Result<std::size_t> read(std::span<char> buffer) override;

 private:
  BorrowedFd fd_;
  std::uint64_t offset_;
  std::uint64_t left_;
};

// Blocks of any ByteSource, full ones until the last.
class BufferedBlocks final : public BlockSource {
 public:
  explicit BufferedBlocks(ByteSource& source, std::size_t block_bytes = std::size_t{128} << 10)
      : source_(source), buffer_(block_bytes) {}
  Result<std::string_view> next() override;

 private:
  ByteSource& source_;
  std::vector<char> buffer_;
};

// Blocks of a seekable file; skip() moves without reading.
class FileBlocks final : public BlockSource {
 public:
  // `size` bytes from the start of the file.
  FileBlocks(BorrowedFd fd, std::uint64_t size, std::size_t block_bytes = std::size_t{64} << 10)
      : fd_(fd), size_(size), buffer_(block_bytes) {}
  Result<std::string_view> next() override;
  Result<std::uint64_t> skip(std::uint64_t bytes) override;

 private:
  BorrowedFd fd_;
  std::uint64_t size_;
  std::uint64_t at_ = 0;
  std::vector<char> buffer_;
};

// Push: takes the next bytes, all of them.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual Status write(std::string_view bytes) = 0;
};

// All of the source goes to the sink. Errc::kCorrupt, naming `what`, when that is not exactly `size_bytes`.
Status copy_exactly(ByteSource& source, std::uint64_t size_bytes, ByteSink& sink, std::string_view what);

// A descriptor written at its current position. Borrows the descriptor.
class FdSink final : public ByteSink {
 public:
  explicit FdSink(BorrowedFd fd) : fd_(fd) {}
  Status write(std::string_view bytes) override;

 private:
  BorrowedFd fd_;
};

// Memory, which grows (small documents, tests).
class MemorySink final : public ByteSink {
 public:
  Status write(std::string_view bytes) override {
    text_ += bytes;
    return {};
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// A view of memory, in one block (small documents, tests, fuzzing).
class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::string_view bytes) : left_(bytes) {}
  Result<std::size_t> read(std::span<char> buffer) override;

 private:
  std::string_view left_;
};
class MemoryBlocks final : public BlockSource {
 public:
  // Handed out in pieces of block_bytes.
  explicit MemoryBlocks(std::string_view bytes, std::size_t block_bytes = std::string_view::npos)
      : left_(bytes), block_bytes_(block_bytes) {}
  Result<std::string_view> next() override;

 private:
  std::string_view left_;
  std::size_t block_bytes_;
};

}  // namespace cooper::codec
