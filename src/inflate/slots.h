// cooper-inflate's side of the memory that it shares with cooper (fetch/inflate.h).
#pragma once

#include "base/fd.h"
#include "codec/stream.h"
#include "inflate/gunzip.h"

namespace cooper::inflate {

class InputSlots final : public codec::BlockSource {
 public:
  InputSlots(std::span<char> memory, BorrowedFd socket) : memory_(memory), socket_(socket) {}
  Result<std::string_view> next() override;

 private:
  std::span<char> memory_;
  BorrowedFd socket_;
  std::size_t taken_ = 0;
  bool ended_ = false;
};

class OutputSlots final : public Pieces {
 public:
  OutputSlots(std::span<char> memory, BorrowedFd socket) : memory_(memory), socket_(socket) {}
  Result<std::span<char>> room() override;
  Status filled(std::size_t bytes) override;

 private:
  std::span<char> memory_;
  BorrowedFd socket_;
  std::size_t filled_ = 0;
};

}  // namespace cooper::inflate
