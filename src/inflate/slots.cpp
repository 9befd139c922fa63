#include "inflate/slots.h"

#include "fetch/inflate.h"
#include "sys/file.h"

namespace cooper::inflate {
namespace {

// By write(2): whoever only computes may call nothing else.
Status send(BorrowedFd socket, std::size_t size) {
  const auto message = static_cast<fetch::InflateSize>(size);
  return sys::write_all(socket, fetch::inflate_message(message));
}

}  // namespace

Result<std::string_view> InputSlots::next() {
  if (ended_) return std::string_view();
  if (taken_ != 0) RETURN_IF_ERROR(send(socket_, 0));
  ASSIGN_OR_RETURN(const std::size_t size, fetch::receive_inflate_size(socket_));
  ended_ = size == 0;
  if (size > fetch::kInflateInputBytes) return Error(Errc::kSystem, "a piece of the input has a wrong size");
  const std::span<char> slot = memory_.subspan(fetch::inflate_input_offset(taken_++), size);
  return std::string_view(slot.data(), slot.size());
}

Result<std::span<char>> OutputSlots::room() {
  if (filled_ >= fetch::kInflateOutputSlots) {
    ASSIGN_OR_RETURN([[maybe_unused]] const std::size_t any, fetch::receive_inflate_size(socket_));
  }
  return memory_.subspan(fetch::inflate_output_offset(filled_), fetch::kInflateOutputBytes);
}

Status OutputSlots::filled(std::size_t bytes) {
  ++filled_;
  return send(socket_, bytes);
}

}  // namespace cooper::inflate
