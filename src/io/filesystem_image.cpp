#include "io/filesystem_image.h"

#include <utility>

#include "base/strings.h"
#include "sys/loop.h"
#include "sys/missing.h"
#include "sys/mount.h"

namespace cooper::io {
namespace {

constexpr int kAttempts = 64;  // at a device that others may take first
constexpr std::uint64_t kSector = 512;

std::string fd_path(BorrowedFd fd) {
  return "/proc/self/fd/" + std::to_string(fd.get());
}

Result<UniqueFd> open_unchanged(const FilesystemImage& image) {
  ASSIGN_OR_RETURN(UniqueFd file, sys::openat(sys::kCwd, image.file, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(file));
  FilesystemImage now = image;
  remember_file(info, now);
  if (now == image && S_ISREG(info.st_mode)) return file;
  return Error(Errc::kWrongState, "file " + quoted(image.file) + " has changed since it was looked at")
      .with_hint("make a new container from it");
}

struct LoopDevice {
  UniqueFd fd;  // as long as it is open, the device is there
  std::string path;
};

Error without_loop(Error error) {
  return std::move(error).with_hint(
      "this needs loop devices: CONFIG_BLK_DEV_LOOP (modprobe loop) and /dev/loop-control");
}

Result<LoopDevice> attach_loop(BorrowedFd file, const FilesystemImage& image) {
  auto control = sys::openat(sys::kCwd, "/dev/loop-control", O_RDWR);
  if (!control.ok()) return without_loop(std::move(control).error());
  // The last bytes count as a whole sector, as far as the file goes.
  const std::uint64_t size = (image.size + kSector - 1) / kSector * kSector;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    ASSIGN_OR_RETURN(const int number, sys::loop_ctl_get_free(*control));
    LoopDevice device;
    device.path = "/dev/loop" + std::to_string(number);
    auto opened = sys::openat(sys::kCwd, device.path, O_RDONLY);
    if (!opened.ok()) return without_loop(std::move(opened).error());
    device.fd = std::move(*opened);
    Status attached = sys::loop_configure(device.fd, file, image.offset, size);
    if (attached.ok()) return device;
    if (attached.error().errno_value() != EBUSY) return std::move(attached).error();
  }
  return Error(Errc::kBusy, "no loop device stays free long enough to be taken", EBUSY);
}

Result<UniqueFd> mount_source(const std::string& source, const FilesystemImage& image) {
  auto context = sys::fsopen(image.fstype);
  if (!context.ok()) {
    if (context.error().errno_value() != ENODEV) return std::move(context).error();
    return Error(Errc::kUnsupported, "this kernel has no file system " + quoted(image.fstype), ENODEV)
        .with_hint("load its module: modprobe " + image.fstype);
  }
  RETURN_IF_ERROR(sys::fsconfig_string(*context, "source", source));
  RETURN_IF_ERROR(sys::fsconfig_flag(*context, "ro"));
  RETURN_IF_ERROR(sys::fsconfig_create(*context));
  return sys::fsmount(*context, static_cast<std::uint32_t>(mount_attributes(image)) | MOUNT_ATTR_RDONLY);
}

// erofs mounts a file as it is (kernel 6.12); others want a device.
Result<UniqueFd> mount_file(BorrowedFd file, const FilesystemImage& image) {
  if (image.fstype == "erofs" && image.offset == 0) {
    auto mounted = mount_source(fd_path(file), image);
    if (mounted.ok() || mounted.error().errno_value() != ENOTBLK) return mounted;
  }
  ASSIGN_OR_RETURN(const LoopDevice device, attach_loop(file, image));
  return mount_source(device.path, image);
}

}  // namespace

void remember_file(const struct stat& info, FilesystemImage& image) {
  image.inode = info.st_ino;
  image.file_size = static_cast<std::uint64_t>(info.st_size);
  image.modified_ns = std::int64_t{info.st_mtim.tv_sec} * 1000000000 + info.st_mtim.tv_nsec;
}

std::uint64_t mount_attributes(const FilesystemImage& image) {
  return image.untrusted ? MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV : 0;
}

Result<UniqueFd> mount_detached(const FilesystemImage& image) {
  ASSIGN_OR_RETURN(const UniqueFd file, open_unchanged(image));
  auto mounted = mount_file(file, image);
  if (mounted.ok()) return mounted;
  Error error = std::move(mounted).error().with("mount the " + image.fstype + " in " + quoted(image.file));
  const int number = error.errno_value();
  // What drivers say to bytes that they do not like.
  if (number == EINVAL || number == EIO || number == EUCLEAN || number == EBADMSG)
    return std::move(error).with_code(Errc::kCorrupt);
  return error;
}

}  // namespace cooper::io
