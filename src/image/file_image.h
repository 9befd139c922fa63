// Images that are one file of the host and are run where they lie: squashfs, erofs, and SIF with a squashfs in it. The
// store has no part in them.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "io/filesystem_image.h"
#include "spec/oci_image/types.h"

namespace cooper::image {

// Written as a path: it begins with "/", "./" or "../". No name of an image does.
bool names_file(std::string_view reference);

// A path of a file that says it is one of the three, whether whole or not.
bool is_image_file(const std::string& path);

struct FileImage {
  std::string format;  // "squashfs", "erofs", or "sif" with a squashfs in it
  io::FilesystemImage filesystem;
  oci_image::Platform platform;  // empty architecture: the file does not tell
};
// Looks at the file's header. Errc::kInvalidArgument: neither of the three; Errc::kCorrupt: damaged or cut off;
// Errc::kUnsupported: a SIF file with another root file system.
Result<FileImage> open_file_image(const std::string& path);

// How programs of such an image are started. The file itself says nothing; what Apptainer puts into its images does: a
// command runs by /.singularity.d/actions/exec, which sets the image's environment, and without one the image's
// runscript runs. `rootfs`: the mounted root.
Result<oci_image::ImageConfig> file_image_config(const FileImage& image, BorrowedFd rootfs, bool has_command);

}  // namespace cooper::image
