#include "image/file_image.h"

#include <algorithm>
#include <optional>
#include <span>

#include "base/strings.h"
#include "image/internal/file_formats.h"
#include "image/internal/little_endian.h"
#include "image/internal/sif.h"
#include "io/root_dir.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

constexpr const char* kRunAction = "/.singularity.d/actions/run";
constexpr const char* kExecAction = "/.singularity.d/actions/exec";
constexpr const char* kRunscript = "/.singularity.d/runscript";

constexpr std::string_view kSquashfsMagic = "hsqs";
constexpr std::size_t kSquashfsBytes = 96;
constexpr std::uint32_t kErofsMagic = 0xE0F5E1E2;
constexpr std::size_t kErofsAt = 1024;
constexpr std::size_t kErofsBytes = 128;

Error cut_off(std::string_view fstype, std::uint64_t needed, std::uint64_t available) {
  return Error(Errc::kCorrupt, "the " + std::string(fstype) + " is cut off: it has " + std::to_string(available) +
                                   " of its " + std::to_string(needed) + " bytes");
}

Result<FoundFilesystem> squashfs(std::string_view start, std::uint64_t available) {
  if (le16(start, 28) != 4) return Error(Errc::kUnsupported, "the squashfs has a version other than 4");
  const std::uint64_t used = le64(start, 40);
  if (used < kSquashfsBytes) return Error(Errc::kCorrupt, "the squashfs says it is smaller than its own header");
  if (used > available) return cut_off("squashfs", used, available);
  return FoundFilesystem{"squashfs", available};
}

Result<FoundFilesystem> erofs(std::string_view start, std::uint64_t available) {
  const unsigned block_bits = static_cast<unsigned char>(start[kErofsAt + 12]);
  if (block_bits < 9 || block_bits > 16) return Error(Errc::kCorrupt, "the erofs has blocks of an impossible size");
  const std::uint64_t used = std::uint64_t{le32(start, kErofsAt + 36)} << block_bits;
  if (used > available) return cut_off("erofs", used, available);
  return FoundFilesystem{"erofs", available};
}

// Reads up to `size` bytes; fewer at the end of the file.
Result<std::string> read_at(BorrowedFd file, std::uint64_t offset, std::size_t size) {
  std::string out(size, '\0');
  std::size_t done = 0;
  while (done < size) {
    ASSIGN_OR_RETURN(const std::size_t n,
                     sys::pread(file, std::span(out).subspan(done), static_cast<off_t>(offset + done)));
    if (n == 0) break;
    done += n;
  }
  out.resize(done);
  return out;
}

void use(const FoundFilesystem& found, std::uint64_t offset, FileImage& out) {
  out.filesystem.fstype = found.fstype;
  out.filesystem.offset = offset;
  out.filesystem.size = found.size;
}

Status look_into_sif(BorrowedFd file, std::string_view start, std::uint64_t file_size, FileImage& out) {
  ASSIGN_OR_RETURN(const sif::Header header, sif::parse_header(start.substr(0, sif::kHeaderBytes), file_size));
  ASSIGN_OR_RETURN(const std::string table, read_at(file, header.table_offset, header.table_bytes()));
  ASSIGN_OR_RETURN(const sif::Partition root, sif::find_system(table, header, file_size));
  ASSIGN_OR_RETURN(const std::string inner,
                   read_at(file, root.offset, std::min<std::uint64_t>(kFormatBytes, root.size)));
  ASSIGN_OR_RETURN(const auto found, find_filesystem(inner, root.size));
  if (!found || found->fstype != "squashfs")
    return Error(Errc::kCorrupt, "the SIF file is damaged: its root file system is no squashfs");
  use(*found, root.offset, out);
  if (!root.architecture.empty()) out.platform = {.architecture = root.architecture, .os = "linux", .variant = {}};
  return {};
}

Status look_at(BorrowedFd file, FileImage& out) {
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(file));
  if (S_ISDIR(info.st_mode))
    return Error(Errc::kInvalidArgument, "a directory, not a file with a file system in it")
        .with_hint(
            "layouts of images go into the store first: cooper image load; the files of a root file system: cooper "
            "image "
            "build-from-dir");
  if (!S_ISREG(info.st_mode)) return Error(Errc::kInvalidArgument, "not a regular file");
  io::remember_file(info, out.filesystem);
  const auto size = static_cast<std::uint64_t>(info.st_size);
  ASSIGN_OR_RETURN(const std::string start, read_at(file, 0, kFormatBytes));
  if (sif::has_magic(start)) {
    out.format = "sif";
    return look_into_sif(file, start, size, out);
  }
  ASSIGN_OR_RETURN(const auto found, find_filesystem(start, size));
  if (!found) {
    return Error(Errc::kInvalidArgument, "neither a squashfs nor an erofs nor a SIF file")
        .with_hint("archives and layouts of images go into the store first: cooper image load");
  }
  out.format = found->fstype;
  use(*found, 0, out);
  return {};
}

// A file that may be executed; links are followed inside the image.
bool has_program(const io::RootDir& root, const char* path) {
  const auto file = root.open_at(path, O_PATH);
  if (!file.ok()) return false;
  const auto info = sys::fstat(*file);
  return info.ok() && S_ISREG(info->st_mode) && (info->st_mode & 0111) != 0;
}

}  // namespace

Result<std::optional<FoundFilesystem>> find_filesystem(std::string_view start, std::uint64_t available) {
  const auto some = [](Result<FoundFilesystem> found) -> Result<std::optional<FoundFilesystem>> {
    if (!found.ok()) return std::move(found).error();
    return std::optional(std::move(found).value());
  };
  if (start.size() >= kSquashfsBytes && start.starts_with(kSquashfsMagic)) return some(squashfs(start, available));
  if (start.size() >= kErofsAt + kErofsBytes && le32(start, kErofsAt) == kErofsMagic)
    return some(erofs(start, available));
  return std::optional<FoundFilesystem>();
}

bool names_file(std::string_view reference) {
  return reference.starts_with('/') || reference.starts_with("./") || reference.starts_with("../");
}

bool is_image_file(const std::string& path) {
  const auto image = open_file_image(path);
  return image.ok() || image.error().code() == Errc::kCorrupt || image.error().code() == Errc::kUnsupported;
}

Result<FileImage> open_file_image(const std::string& path) {
  const auto context = [&](Error error) { return std::move(error).with("image file " + quoted(path)); };
  auto file = sys::openat(sys::kCwd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!file.ok()) {
    return std::move(file)
        .error()
        .with("image file")
        .with_hint("an image that begins with '/' or '.' is a file; those of the store have no such names");
  }
  FileImage out;
  auto name = sys::path_of(*file);
  if (!name.ok()) return context(std::move(name).error());
  out.filesystem.file = std::move(*name);
  Status looked = look_at(*file, out);
  if (!looked.ok()) return context(std::move(looked).error());
  return out;
}

Result<oci_image::ImageConfig> file_image_config(const FileImage& image, BorrowedFd rootfs, bool has_command) {
  ASSIGN_OR_RETURN(UniqueFd copy, sys::dup_cloexec(rootfs));
  const io::RootDir root = io::RootDir::adopt(std::move(copy));
  oci_image::ImageConfig out;
  out.platform = image.platform;
  if (has_command) {
    if (has_program(root, kExecAction)) out.entrypoint = {kExecAction};
  } else if (has_program(root, kRunscript)) {
    out.entrypoint = {has_program(root, kRunAction) ? kRunAction : kRunscript};
  }
  return out;
}

}  // namespace cooper::image
