#include "inflate/gunzip.h"

#include <isa-l/igzip_lib.h>

#include <memory>

namespace cooper::inflate {
namespace {

class Gunzip {
 public:
  Gunzip(codec::BlockSource& input, Pieces& output) : input_(input), output_(output) {}

  Status run() {
    while (true) {
      RETURN_IF_ERROR(member());
      ASSIGN_OR_RETURN(const bool another, another_follows());
      if (!another) break;
    }
    const std::size_t rest = piece_.size() - state_->avail_out;
    return rest == 0 ? Status() : output_.filled(rest);
  }

 private:
  // False at the end of the input.
  Result<bool> refill() {
    ASSIGN_OR_RETURN(const std::string_view bytes, input_.next());
    // It is not written to.
    state_->next_in = reinterpret_cast<std::uint8_t*>(const_cast<char*>(bytes.data()));
    state_->avail_in = static_cast<std::uint32_t>(bytes.size());
    return !bytes.empty();
  }
  // True when the piece before it was full, of which the decoder may have kept what did not fit.
  Result<bool> make_room() {
    if (state_->avail_out != 0) return false;
    const bool full = !piece_.empty();
    if (full) RETURN_IF_ERROR(output_.filled(piece_.size()));
    piece_ = {};
    ASSIGN_OR_RETURN(piece_, output_.room());
    state_->next_out = reinterpret_cast<std::uint8_t*>(piece_.data());
    state_->avail_out = static_cast<std::uint32_t>(piece_.size());
    return full;
  }
  void begin_member();
  Status member();
  Result<bool> another_follows();

  codec::BlockSource& input_;
  Pieces& output_;
  std::span<char> piece_;
  std::unique_ptr<inflate_state> state_ = std::make_unique<inflate_state>();
};

// Only what is in memory stays as it is.
void Gunzip::begin_member() {
  std::uint8_t* const next_in = state_->next_in;
  const std::uint32_t avail_in = state_->avail_in;
  std::uint8_t* const next_out = state_->next_out;
  const std::uint32_t avail_out = state_->avail_out;
  isal_inflate_init(state_.get());
  state_->crc_flag = ISAL_GZIP;
  state_->next_in = next_in;
  state_->avail_in = avail_in;
  state_->next_out = next_out;
  state_->avail_out = avail_out;
}

Status Gunzip::member() {
  begin_member();
  while (state_->block_state != ISAL_BLOCK_FINISH) {
    ASSIGN_OR_RETURN(const bool more_may_come, make_room());
    if (state_->avail_in == 0 && !more_may_come) {
      ASSIGN_OR_RETURN(const bool more, refill());
      if (!more) return Error(Errc::kCorrupt, "gzip stream is truncated");
    }
    if (isal_inflate(state_.get()) != ISAL_DECOMP_OK) return Error(Errc::kCorrupt, "gzip stream is corrupt: bad data");
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

Status gunzip(codec::BlockSource& input, Pieces& output) {
  return Gunzip(input, output).run();
}

}  // namespace cooper::inflate
