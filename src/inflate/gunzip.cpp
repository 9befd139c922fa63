#include "inflate/gunzip.h"

#include <isa-l/igzip_lib.h>

#include <algorithm>
#include <memory>
#include <vector>

namespace cooper::inflate {
namespace {

constexpr std::size_t kInputBytes = std::size_t{256} << 10;
constexpr std::size_t kOutputBytes = std::size_t{512} << 10;

class Gunzip {
 public:
  Gunzip(codec::ByteSource& input, codec::ByteSink& output)
      : input_(input), output_(output), in_(kInputBytes), out_(kOutputBytes) {}

  Status run() {
    while (true) {
      RETURN_IF_ERROR(member());
      ASSIGN_OR_RETURN(const bool another, another_follows());
      if (!another) return {};
    }
  }

 private:
  // False at the end of the input.
  Result<bool> refill() {
    ASSIGN_OR_RETURN(const std::size_t n, input_.read(in_));
    state_->next_in = reinterpret_cast<std::uint8_t*>(in_.data());
    state_->avail_in = static_cast<std::uint32_t>(n);
    return n != 0;
  }
  Status member();
  Result<bool> another_follows();

  codec::ByteSource& input_;
  codec::ByteSink& output_;
  std::vector<char> in_;
  std::vector<char> out_;
  std::unique_ptr<inflate_state> state_ = std::make_unique<inflate_state>();
};

Status Gunzip::member() {
  std::uint8_t* const next_in = state_->next_in;
  const std::uint32_t avail_in = state_->avail_in;
  isal_inflate_init(state_.get());
  state_->crc_flag = ISAL_GZIP;
  state_->next_in = next_in;
  state_->avail_in = avail_in;
  while (state_->block_state != ISAL_BLOCK_FINISH) {
    const bool full = state_->avail_out == 0 && state_->total_out != 0;
    if (state_->avail_in == 0 && !full) {
      ASSIGN_OR_RETURN(const bool more, refill());
      if (!more) return Error(Errc::kCorrupt, "gzip stream is truncated");
    }
    state_->next_out = reinterpret_cast<std::uint8_t*>(out_.data());
    state_->avail_out = static_cast<std::uint32_t>(out_.size());
    if (isal_inflate(state_.get()) != ISAL_DECOMP_OK) return Error(Errc::kCorrupt, "gzip stream is corrupt: bad data");
    const std::size_t written = out_.size() - state_->avail_out;
    if (written != 0) RETURN_IF_ERROR(output_.write({out_.data(), written}));
  }
  return {};
}

// After a member.
Result<bool> Gunzip::another_follows() {
  bool padding = false;
  while (true) {
    if (state_->avail_in == 0) {
      ASSIGN_OR_RETURN(const bool more, refill());
      if (!more) return false;
    }
    if (*state_->next_in != 0) break;
    padding = true;
    ++state_->next_in;
    --state_->avail_in;
  }
  constexpr std::uint8_t kMagic = 0x1f;
  if (padding || *state_->next_in != kMagic) return Error(Errc::kCorrupt, "gzip stream is followed by other bytes");
  return true;
}

}  // namespace

Status gunzip(codec::ByteSource& input, codec::ByteSink& output) {
  return Gunzip(input, output).run();
}

}  // namespace cooper::inflate
