// A file as it lies on a disk, with all that the model of a file has (file_model.h).
#pragma once

#include <sys/types.h>

#include <optional>
#include <span>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/fd.h"
#include "image/internal/compare.h"
#include "image/internal/file_model.h"

namespace cooper::image {

struct DiskFile {
  FileFacts facts;  // without its content
  std::pair<dev_t, ino_t> file;
  bool is_socket = false;  // which no layer can bring
};

// nullopt: a socket, or nothing that is known.
std::optional<codec::tar::EntryType> type_of(mode_t mode);
// nullopt: not there. Labels that the host gives its files are left out.
Result<std::optional<DiskFile>> look_at(BorrowedFd dir, const std::string& name);
// As ContentHash; the buffer is for what is read.
Result<std::string> content_of(BorrowedFd dir, const std::string& name, std::span<char> buffer, const CheckStep& step);

}  // namespace cooper::image
