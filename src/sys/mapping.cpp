#include "sys/mapping.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <utility>

#include "sys/file.h"

namespace cooper::sys {

Result<Mapping> Mapping::shared(BorrowedFd file, std::size_t size_bytes) {
  void* memory = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (memory == MAP_FAILED) return Error::from_errno(errno, "map shared memory");
  return Mapping({static_cast<char*>(memory), size_bytes});
}

Mapping::Mapping(Mapping&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

Mapping::~Mapping() {
  if (!bytes_.empty()) (void)::munmap(bytes_.data(), bytes_.size());
}

Result<UniqueFd> sealed_memory(const std::string& name, std::size_t size_bytes) {
  ASSIGN_OR_RETURN(UniqueFd file, memfd_create(name, MFD_ALLOW_SEALING));
  RETURN_IF_ERROR(ftruncate(file, static_cast<off_t>(size_bytes)));
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return Error::from_errno(errno, "seal shared memory");
  return file;
}

}  // namespace cooper::sys
