#include "image/internal/erofs_tree.h"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "codec/digest.h"
#include "fetch/spawn.h"
#include "image/internal/compare.h"
#include "image/internal/job.h"
#include "image/internal/load.h"
#include "image/internal/paths.h"
#include "image/internal/trees.h"
#include "io/file.h"
#include "io/filesystem_image.h"
#include "sys/copy.h"
#include "sys/fallocate.h"
#include "sys/file.h"
#include "sys/lseek.h"
#include "sys/mount.h"
#include "sys/process.h"
#include "sys/retry.h"

namespace cooper::image {
namespace {

constexpr const char* kProgram = "mkfs.erofs";
constexpr const char* kUnpacked = "unpacked";
constexpr std::size_t kMaxOutputBytes = std::size_t{64} << 10;
constexpr int kSourceFd = 3;
constexpr int kImageFd = 4;

// Found out before minutes of work.
Status check_kernel() {
  auto context = sys::fsopen("erofs");
  if (context.ok()) return {};
  if (context.error().errno_value() != ENODEV) return std::move(context).error();
  return Error(Errc::kUnsupported, "this kernel has no file system 'erofs'", ENODEV)
      .with_hint("load its module (modprobe erofs), or use another backend");
}

std::string last_line(std::string_view output) {
  output = trim(output);
  return std::string(output.substr(output.rfind('\n') + 1));
}

// Room for what the layers hold, padded. Files with holes that no layer has are written out as zeros, without an end.
std::uint64_t most_bytes(const Image& image) {
  constexpr std::uint64_t kPadding = 8;
  constexpr std::uint64_t kBase = std::uint64_t{64} << 20;
  return image.size_bytes > (std::numeric_limits<std::uint64_t>::max() - kBase) / kPadding
             ? std::numeric_limits<std::uint64_t>::max()
             : image.size_bytes * kPadding + kBase;
}

Error failure(const sys::ExitStatus& status, const std::string& output) {
  if (status.signal == SIGXFSZ)
    return Error(Errc::kLimit, "a file of it has holes, and is too large without them")
        .with_hint("use another backend");
  if (output.find("No space left") != std::string::npos) return Error::from_errno(ENOSPC, kProgram);
  const std::string how =
      status.signal != 0 ? "was ended by signal " + std::to_string(status.signal) : "failed: " + last_line(output);
  return Error(Errc::kSystem, std::string(kProgram) + " " + how);
}

// Until the program ends, or cannot be watched.
void show_growth(pid_t pid, BorrowedFd image, std::uint64_t likely_bytes, const Progress& progress) {
  constexpr int kLookMs = 100;
  if (!progress) return;
  const auto pidfd = sys::pidfd_open(pid);
  if (!pidfd.ok()) return;
  while (true) {
    const auto info = sys::fstat(image);
    if (info.ok()) progress("making an erofs image", static_cast<std::uint64_t>(info->st_blocks) * 512, likely_bytes);
    struct pollfd entry = {pidfd->get(), POLLIN, 0};
    if (sys::retry([&] { return ::poll(&entry, 1, kLookMs); }) != 0) return;
  }
}

// The program sees two descriptors and no path of the store.
Status run_mkfs(BorrowedFd source, BorrowedFd image, const Image& from, const Progress& progress) {
  const std::uint64_t max_bytes = most_bytes(from);
  ASSIGN_OR_RETURN(const UniqueFd output, sys::memfd_create("mkfs-output", 0));
  ASSIGN_OR_RETURN(const UniqueFd nothing, sys::openat(sys::kCwd, "/dev/null", O_RDONLY));
  fetch::Spawn request;
  request.program = kProgram;
  request.args = {"--quiet", "--preserve-mtime", "/proc/self/fd/" + std::to_string(kImageFd),
                  "/proc/self/fd/" + std::to_string(kSourceFd)};
  request.env = {"LC_ALL=C"};
  request.descriptors = {
      {nothing.get(), 0}, {output.get(), 1}, {output.get(), 2}, {source.get(), kSourceFd}, {image.get(), kImageFd}};
  auto pid = fetch::spawn(request);
  if (!pid.ok()) {
    if (pid.error().errno_value() != ENOENT) return std::move(pid).error();
    return Error(Errc::kUnsupported, "the program 'mkfs.erofs', which makes erofs images, is not in $PATH", ENOENT)
        .with_hint("install erofs-utils, or use another backend");
  }
  Status bounded = sys::prlimit(*pid, RLIMIT_FSIZE, {max_bytes, max_bytes});
  if (!bounded.ok()) (void)::kill(*pid, SIGKILL);
  show_growth(*pid, image, from.size_bytes, progress);
  ASSIGN_OR_RETURN(const sys::ExitStatus status, sys::waitpid(*pid));
  RETURN_IF_ERROR(std::move(bounded));
  if (status.signal == 0 && status.code == 0) return {};
  RETURN_IF_ERROR(sys::lseek(output, 0, SEEK_SET));
  ASSIGN_OR_RETURN(const std::string text, io::read_all(output, kMaxOutputBytes));
  return failure(status, text);
}

Result<Digest> digest_of_file(BorrowedFd file, std::uint64_t size) {
  codec::Hasher hasher;
  std::vector<char> buffer(std::size_t{1} << 20);
  for (std::uint64_t at = 0; at < size;) {
    ASSIGN_OR_RETURN(const std::size_t n, sys::pread(file, buffer, static_cast<off_t>(at)));
    if (n == 0) return Error(Errc::kCorrupt, "the erofs image has become shorter");
    hasher.update(std::string_view(buffer.data(), n));
    at += n;
  }
  return hasher.finish();
}

// The unpacked tree of the store, which nobody takes away meanwhile.
class StoredSource {
 public:
  static Result<std::optional<StoredSource>> find(BorrowedFd store, const std::string& chain, std::string_view user) {
    const Trees trees(store);
    const bool had = sys::fstatat(store, tree_users_path(chain) + "/" + std::string(user)).ok();
    ASSIGN_OR_RETURN(const bool there, trees.register_user(chain, user));
    if (!there) return std::optional<StoredSource>();
    StoredSource out(store, chain, had ? std::string_view() : user);
    ASSIGN_OR_RETURN(out.rootfs_, sys::openat(store, tree_path(chain) + "/rootfs", O_RDONLY | O_DIRECTORY));
    return std::optional(std::move(out));
  }
  StoredSource(StoredSource&& other) noexcept
      : store_(other.store_),
        chain_(std::move(other.chain_)),
        user_(std::exchange(other.user_, {})),
        rootfs_(std::move(other.rootfs_)) {}
  StoredSource& operator=(StoredSource&&) = delete;
  ~StoredSource() {
    if (!user_.empty()) (void)!Trees(store_).release_user(chain_, user_).ok();
  }
  BorrowedFd rootfs() const { return rootfs_; }

 private:
  StoredSource(BorrowedFd store, std::string chain, std::string_view user)
      : store_(store), chain_(std::move(chain)), user_(user) {}
  BorrowedFd store_;
  std::string chain_, user_;  // empty: not to be released, the pod has the tree for itself
  UniqueFd rootfs_;
};

// The program passes over writes that fail, as they do on a full disk, and is successful then.
Status check_whole(BorrowedFd source, BorrowedFd image, std::uint64_t size, const Progress& progress) {
  std::uint64_t done = 0;
  const CheckStep step = [&](std::uint64_t bytes) {
    done += bytes;
    if (progress) progress("checking the erofs image", std::min(done, size), size);
    return ok_status();
  };
  auto mounted = mount_erofs_file(image);
  if (!mounted.ok() && mounted.error().code() != Errc::kCorrupt) return std::move(mounted).error();
  std::string why;
  if (mounted.ok()) {
    ASSIGN_OR_RETURN(const auto difference, first_difference(source, *mounted, step));
    if (!difference) return {};
    why = "differs at " + *difference + " from what it was made of";
  } else {
    why = "cannot be mounted: " + mounted.error().message();
  }
  // Room for what was not written.
  if (Status room = sys::fallocate(image, static_cast<off_t>(size));
      !room.ok() && room.error().code() == Errc::kNoSpace)
    return room;
  return Error(Errc::kSystem, "what mkfs.erofs has made " + why).with_hint("try again, or use another backend");
}

Status make_from(BorrowedFd source, const Image& from, const Job& job, const std::string& name,
                 const Progress& progress) {
  ASSIGN_OR_RETURN(const UniqueFd image, Trees::begin_file(job, name));
  RETURN_IF_ERROR(run_mkfs(source, image, from, progress));
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(image));
  const auto size = static_cast<std::uint64_t>(info.st_size);
  RETURN_IF_ERROR(check_whole(source, image, size, progress));
  ASSIGN_OR_RETURN(const Digest digest, digest_of_file(image, size));
  RETURN_IF_ERROR(Trees::seal_file(job, name, digest, size));
  return sys::fsync(image);
}

Status make_image(BorrowedFd store, const Image& image, std::string_view user, const Job& job, const std::string& name,
                  const Progress& progress) {
  ASSIGN_OR_RETURN(const auto stored, StoredSource::find(store, image.chain, user));
  if (stored) return make_from(stored->rootfs(), image, job, name, progress);
  RETURN_IF_ERROR(sys::mkdirat(job.fd(), kUnpacked, 0755));
  ASSIGN_OR_RETURN(const UniqueFd unpacked, sys::openat(job.fd(), kUnpacked, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  RETURN_IF_ERROR(unpack_stored_image(store, image, unpacked, progress));
  return make_from(unpacked, image, job, name, progress);
}

}  // namespace

Result<UniqueFd> mount_erofs_file(BorrowedFd file) {
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(file));
  io::FilesystemImage image{.file = "/proc/self/fd/" + std::to_string(file.get()),
                            .fstype = "erofs",
                            .size = static_cast<std::uint64_t>(info.st_size),
                            .untrusted = true};
  io::remember_file(info, image);
  return io::mount_detached(image);
}

Status build_erofs_tree(BorrowedFd store, const Image& image, std::string_view user, const Progress& progress) {
  RETURN_IF_ERROR(check_kernel());
  const Trees trees(store);
  const std::string name = erofs_tree(image.chain);
  ASSIGN_OR_RETURN(const io::FileLock guard, trees.lock_unpacking(name));
  // Somebody else may have done it while we waited.
  ASSIGN_OR_RETURN(const bool there, trees.register_user(name, user));
  if (there) return {};
  {
    ASSIGN_OR_RETURN(const Job job, Job::create(store));
    Status made = make_image(store, image, user, job, name, progress);
    if (!made.ok()) return std::move(made).error().with("make an erofs image of " + image.id.str());
    RETURN_IF_ERROR(trees.publish(job, name, user));
  }
  // One form is enough. The unpacked one goes later, with a user of either: many files take long, and a start waits.
  return trees.mark_superseded(image.chain);
}

}  // namespace cooper::image
