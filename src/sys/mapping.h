// Memory of a file that several processes share.
#pragma once

#include <span>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::sys {

class Mapping {
 public:
  // The first `size_bytes` of the file, to read and write, MAP_SHARED. A file that becomes shorter ends who touches the
  // rest by SIGBUS: of a stranger's file only a sealed one is safe (memfd_create(2), F_SEAL_SHRINK).
  static Result<Mapping> shared(BorrowedFd file, std::size_t size_bytes);
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&&) = delete;
  ~Mapping();
  std::span<char> bytes() const { return bytes_; }

 private:
  explicit Mapping(std::span<char> bytes) : bytes_(bytes) {}
  std::span<char> bytes_;
};

// A new file in memory of that size, which nobody can make shorter or longer.
Result<UniqueFd> sealed_memory(const std::string& name, std::size_t size_bytes);

}  // namespace cooper::sys
