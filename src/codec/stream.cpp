#include "codec/stream.h"

#include <algorithm>
#include <cstring>

#include "sys/file.h"

namespace cooper::codec {
namespace {

constexpr std::size_t kCopyBytes = std::size_t{256} << 10;

}  // namespace

Result<std::size_t> read_full(ByteSource& source, std::span<char> buffer) {
  std::size_t done = 0;
  while (done < buffer.size()) {
    ASSIGN_OR_RETURN(const std::size_t n, source.read(buffer.subspan(done)));
    if (n == 0) break;
    done += n;
  }
  return done;
}

Result<std::size_t> FdSource::read(std::span<char> buffer) {
  return sys::read(fd_, buffer);
}

Result<std::size_t> RangeSource::read(std::span<char> buffer) {
  if (left_ == 0 || buffer.empty()) return std::size_t{0};
  const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), left_));
  ASSIGN_OR_RETURN(const std::size_t n, sys::pread(fd_, buffer.first(want), static_cast<off_t>(offset_)));
  if (n == 0) return Error(Errc::kCorrupt, "file ends " + std::to_string(left_) + " bytes too early");
  offset_ += n;
  left_ -= n;
  return n;
}

Result<std::string_view> BufferedBlocks::next() {
  ASSIGN_OR_RETURN(const std::size_t n, read_full(source_, buffer_));
  return std::string_view(buffer_.data(), n);
}

Result<std::string_view> FileBlocks::next() {
  const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(buffer_.size(), size_ - at_));
  if (want == 0) return std::string_view{};
  ASSIGN_OR_RETURN(const std::size_t n, sys::pread(fd_, std::span(buffer_).first(want), static_cast<off_t>(at_)));
  at_ += n;
  return std::string_view(buffer_.data(), n);
}

Result<std::uint64_t> FileBlocks::skip(std::uint64_t bytes) {
  const std::uint64_t n = std::min(bytes, size_ - at_);
  at_ += n;
  return n;
}

Status copy_exactly(ByteSource& source, std::uint64_t size_bytes, ByteSink& sink, std::string_view what) {
  std::vector<char> buffer(kCopyBytes);
  std::uint64_t done = 0;
  while (true) {
    ASSIGN_OR_RETURN(const std::size_t n, source.read(buffer));
    done += n;
    if (n == 0 || done > size_bytes) break;
    RETURN_IF_ERROR(sink.write({buffer.data(), n}));
  }
  if (done == size_bytes) return {};
  return Error(Errc::kCorrupt, std::string(what) + " has " + (done > size_bytes ? "more than " : "only ") +
                                   std::to_string(std::min(done, size_bytes)) + " bytes, not " +
                                   std::to_string(size_bytes));
}

Status FdSink::write(std::string_view bytes) {
  return sys::write_all(fd_, bytes);
}

Result<std::size_t> MemorySource::read(std::span<char> buffer) {
  const std::size_t n = std::min(buffer.size(), left_.size());
  if (n != 0) std::memcpy(buffer.data(), left_.data(), n);
  left_.remove_prefix(n);
  return n;
}

Result<std::string_view> MemoryBlocks::next() {
  const std::string_view block = left_.substr(0, block_bytes_);
  left_.remove_prefix(block.size());
  return block;
}

}  // namespace cooper::codec
