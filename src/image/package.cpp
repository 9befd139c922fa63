#include "image/internal/package.h"

#include "base/strings.h"
#include "sys/file.h"

namespace cooper::image {

Status Package::add_text(const std::string& path, std::string_view text) {
  codec::MemorySource source(text);
  return add_file(path, text.size(), source);
}

Status DirectoryPackage::add_directory(const std::string& path) {
  return sys::mkdirat(directory_, path, 0755);
}

Status DirectoryPackage::add_file(const std::string& path, std::uint64_t size_bytes, codec::ByteSource& source) {
  ASSIGN_OR_RETURN(const UniqueFd file, sys::openat(directory_, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644));
  codec::FdSink sink(file);
  RETURN_IF_ERROR(codec::copy_exactly(source, size_bytes, sink, quoted(path)));
  written_ += size_bytes;
  return {};
}

}  // namespace cooper::image
