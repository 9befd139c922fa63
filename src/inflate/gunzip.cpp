#include "inflate/gunzip.h"

#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>

#include <array>
#include <memory>
#include <string>

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
  Result<std::uint8_t> byte();
  Status skip_text();
  Status header();
  void begin_member();
  Status member();
  Result<bool> another_follows();

  codec::BlockSource& input_;
  Pieces& output_;
  std::span<char> piece_;
  std::uint32_t header_sum_ = 0;
  std::unique_ptr<inflate_state> state_ = std::make_unique<inflate_state>();
};

Error truncated() {
  return Error(Errc::kCorrupt, "gzip stream is truncated");
}

Error corrupt(std::string_view why) {
  return Error(Errc::kCorrupt, "gzip stream is corrupt: " + std::string(why));
}

// Of a header.
Result<std::uint8_t> Gunzip::byte() {
  if (state_->avail_in == 0) {
    ASSIGN_OR_RETURN(const bool more, refill());
    if (!more) return truncated();
  }
  const std::uint8_t out = *state_->next_in++;
  --state_->avail_in;
  header_sum_ = ::crc32_gzip_refl(header_sum_, &out, 1);
  return out;
}

// Up to its terminating zero.
Status Gunzip::skip_text() {
  while (true) {
    ASSIGN_OR_RETURN(const std::uint8_t letter, byte());
    if (letter == 0) return {};
  }
}

// RFC 1952, 2.3. libisal could read it, but forgets how long an extra field is where its input ends within one.
Status Gunzip::header() {
  constexpr unsigned kHasSum = 0x02, kHasExtra = 0x04, kHasName = 0x08, kHasComment = 0x10, kReserved = 0xe0;
  header_sum_ = 0;
  std::array<std::uint8_t, 10> fixed{};
  for (std::uint8_t& field : fixed) {
    ASSIGN_OR_RETURN(field, byte());
  }
  if (fixed[0] != 0x1f || fixed[1] != 0x8b) return corrupt("it does not begin like one");
  const unsigned flags = fixed[3];
  if (fixed[2] != 8 || (flags & kReserved) != 0) return corrupt("its header is of no known kind");
  if ((flags & kHasExtra) != 0) {
    ASSIGN_OR_RETURN(const std::uint8_t low, byte());
    ASSIGN_OR_RETURN(const std::uint8_t high, byte());
    for (unsigned left = low + 256U * high; left != 0; --left) {
      ASSIGN_OR_RETURN([[maybe_unused]] const std::uint8_t skipped, byte());
    }
  }
  if ((flags & kHasName) != 0) RETURN_IF_ERROR(skip_text());
  if ((flags & kHasComment) != 0) RETURN_IF_ERROR(skip_text());
  if ((flags & kHasSum) != 0) {
    const unsigned sum = header_sum_ & 0xffffU;
    ASSIGN_OR_RETURN(const std::uint8_t low, byte());
    ASSIGN_OR_RETURN(const std::uint8_t high, byte());
    if (low + 256U * high != sum) return corrupt("wrong checksum of a header");
  }
  return {};
}

// Only what is in memory stays as it is.
void Gunzip::begin_member() {
  std::uint8_t* const next_in = state_->next_in;
  const std::uint32_t avail_in = state_->avail_in;
  std::uint8_t* const next_out = state_->next_out;
  const std::uint32_t avail_out = state_->avail_out;
  isal_inflate_init(state_.get());
  state_->crc_flag = ISAL_GZIP_NO_HDR_VER;
  state_->next_in = next_in;
  state_->avail_in = avail_in;
  state_->next_out = next_out;
  state_->avail_out = avail_out;
}

Status Gunzip::member() {
  RETURN_IF_ERROR(header());
  begin_member();
  while (state_->block_state != ISAL_BLOCK_FINISH) {
    ASSIGN_OR_RETURN(const bool more_may_come, make_room());
    if (state_->avail_in == 0 && !more_may_come) {
      ASSIGN_OR_RETURN(const bool more, refill());
      if (!more) return truncated();
    }
    if (isal_inflate(state_.get()) != ISAL_DECOMP_OK) return corrupt("bad data");
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
