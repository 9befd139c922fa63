// A file system that lies in a regular file of the host, and its mount.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/error.h"
#include "base/fd.h"
#include "sys/file.h"

namespace cooper::io {

struct FilesystemImage {
  std::string file;          // absolute
  std::string fstype;        // "squashfs", "erofs"
  std::uint64_t offset = 0;  // of the file system in the file
  std::uint64_t size = 0;
  // What the file was when it was looked at. Another one under its name, or one that was written to since, is refused.
  std::uint64_t inode = 0;
  std::uint64_t file_size = 0;
  std::int64_t modified_ns = 0;
  // Nobody has checked what is in it: no set-user-ID programs, no device nodes.
  bool untrusted = true;
  bool operator==(const FilesystemImage&) const = default;
};

// Fills the members that tell which file it was.
void remember_file(const struct stat& info, FilesystemImage& image);

// A detached, read-only mount; it is gone with the last descriptor unless it gets attached. Nothing is left behind
// whenever the caller dies: neither a mount nor a loop device. Needs root and, where the kernel cannot mount files of
// this type, a free loop device.
// Errc::kWrongState: the file is another one by now. Errc::kUnsupported: no such file system in this kernel.
// Errc::kCorrupt: the kernel does not take it.
Result<UniqueFd> mount_detached(const FilesystemImage& image);

// MOUNT_ATTR_* that what is mounted from the image has to have, also above it: an overlay hides those of its layers.
std::uint64_t mount_attributes(const FilesystemImage& image);

}  // namespace cooper::io
