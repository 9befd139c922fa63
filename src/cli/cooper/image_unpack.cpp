#include "cli/cooper/image_unpack.h"

#include <fcntl.h>

#include <array>
#include <cstdio>
#include <functional>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "cli/cooper/describe.h"
#include "cli/cooper/image_save.h"
#include "cli/cooper/output.h"
#include "cli/cooper/progress_display.h"
#include "cli/cooper/pull.h"
#include "cli/cooper/relay.h"
#include "cli/cooper/stop_signals.h"
#include "cli/cooper/target.h"
#include "io/file.h"
#include "io/mountinfo.h"
#include "io/new_file.h"
#include "pod/mend.h"
#include "sys/file.h"

namespace cooper::cli {
namespace {

constexpr Flag kOverwriteFlag = {"overwrite", 0, "", "a directory that was unpacked before is replaced with all in it"};
constexpr std::array<Flag, 2> kUnpackFlags = {
    {{"rootfs-only", 0, "", "as without it: the files alone"}, kOverwriteFlag}};
constexpr std::array<Flag, 2> kRenderFlags = {
    {{"rootfs-only", 0, "", "the files alone, in DIRECTORY itself"}, kOverwriteFlag}};
constexpr std::array<Flag, 2> kExportFlags = {{
    {"overwrite", 0, "", "a file that is there is replaced"},
    {"quiet", 'q', "", "no progress, no names"},
}};

// Of directories that are ours to replace: no image has it. Root's is one that no user can set.
const char* unpacked_mark() {
  return caller_is_root() ? "trusted.cooper.unpacked" : "user.cooper.unpacked";
}

// A file system without such attributes keeps no mark: what is there is not replaced then.
void mark_as_unpacked(const std::string& directory) {
  const auto fd = sys::openat(sys::kCwd, directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (fd.ok()) (void)!sys::fsetxattr(*fd, unpacked_mark(), "1").ok();
}

// A wrong word must not cost a directory of somebody's.
Status check_unpacked(const std::string& directory) {
  ASSIGN_OR_RETURN(const UniqueFd fd, sys::openat(sys::kCwd, directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (sys::fgetxattr(fd, unpacked_mark()).ok()) return {};
  ASSIGN_OR_RETURN(const auto names, sys::list_directory(fd));
  if (names.empty()) return {};
  return Error(
             Errc::kAlreadyExists,
             "--overwrite replaces what was unpacked by cooper, and " + quoted(directory) + " is not empty and was not",
             ENOTEMPTY)
      .with_hint("remove it yourself, or name another directory");
}

bool is_below(const std::string& path, const std::string& directory) {
  return path.starts_with(directory + "/");
}

// A directory with a mount in it can be neither renamed nor removed.
Status check_no_mount(const std::string& directory) {
  ASSIGN_OR_RETURN(const std::string table, io::read_file("/proc/self/mountinfo"));
  for (const io::MountLine& line : io::parse_mount_lines(table)) {
    if (line.point == directory || is_below(line.point, directory))
      return Error(Errc::kBusy, "--overwrite: something is mounted at " + quoted(line.point), EBUSY)
          .with_hint("unmount it, or name another directory");
  }
  return {};
}

// The name that it has now, whatever is in between ("." and the like).
Result<std::string> real_path(const std::string& directory, int flags) {
  ASSIGN_OR_RETURN(const UniqueFd fd, sys::openat(sys::kCwd, directory, O_PATH | O_DIRECTORY | flags));
  return sys::path_of(fd);
}

// What nobody means to lose: the images themselves, and all around the place where the caller is.
Status check_not_around(const std::string& directory, const std::string& store) {
  ASSIGN_OR_RETURN(const std::string images, real_path(store, 0));
  if (images == directory || is_below(images, directory) || is_below(directory, images))
    return Error(Errc::kInvalidArgument, "--overwrite does not replace " + quoted(directory) +
                                             ": the store of the images is " + quoted(images));
  // A current directory that has been removed is below nothing.
  const auto here = real_path(".", 0);
  if (!here.ok() || !is_below(*here, directory)) return {};
  return Error(Errc::kInvalidArgument,
               "--overwrite does not replace " + quoted(directory) + ": the current directory is below it")
      .with_hint("change to another directory first");
}

// Where the files go: the directory itself, or beside one that is replaced when all of them are there.
class Place {
 public:
  static Result<Place> open(const std::string& path, bool overwrite, const std::string& store) {
    Place place(path);
    const auto there = sys::fstatat(sys::kCwd, path, AT_SYMLINK_NOFOLLOW);
    if (!overwrite || !there.ok()) return place;
    if (!S_ISDIR(there->st_mode))
      return Error(Errc::kInvalidArgument, quoted(path) + " is no directory", ENOTDIR)
          .with_hint("--overwrite replaces directories only: remove it first");
    ASSIGN_OR_RETURN(place.final_, real_path(path, O_NOFOLLOW));
    const std::size_t slash = place.final_.rfind('/');
    if (slash + 1 == place.final_.size())
      return Error(Errc::kInvalidArgument, "--overwrite does not replace the root directory");
    RETURN_IF_ERROR(check_not_around(place.final_, store));
    RETURN_IF_ERROR(check_no_mount(place.final_));
    RETURN_IF_ERROR(check_unpacked(place.final_));
    place.used_ = place.final_.substr(0, slash + 1) + io::hidden_name();
    return place;
  }
  const std::string& path() const { return used_; }
  // All is there.
  Status publish() {
    if (final_.empty()) return {};
    // Once more: unpacking takes its time.
    Status exchanged = check_no_mount(final_);
    if (exchanged.ok()) exchanged = sys::renameat2(sys::kCwd, used_, sys::kCwd, final_, RENAME_EXCHANGE);
    Status removed = io::remove_tree(sys::kCwd, used_);
    // A file that others put there meanwhile, or a disk that fails once.
    if (!removed.ok()) removed = io::remove_tree(sys::kCwd, used_);
    if (!exchanged.ok()) return std::move(exchanged).error().with("replace " + quoted(final_));
    if (!removed.ok())
      return std::move(removed).error().with(quoted(final_) + " is replaced; what is left of the old one is " +
                                             quoted(used_));
    return {};
  }

 private:
  explicit Place(std::string path) : used_(std::move(path)) {}
  std::string used_;
  std::string final_;  // empty: none is replaced
};

// What is unpacked where, and the signals that end it.
struct Work {
  const Context& context;
  image::Store& store;
  const image::Image& image;
  const RegistryAccess& access;
  BorrowedFd cancel;
};

// `before_end`: a signal ends the process while bytes are fetched again.
Status unpack_files(const Work& work, const std::string& directory, const std::function<void()>& before_end = {}) {
  WantedImage again;
  again.access = work.access;
  again.before_end = before_end;
  ProgressDisplay progress(work.access.quiet);
  work.store.watch_unpacking(progress.callback());
  Status extracted = work.store.extract(work.image, directory, work.cancel);
  if (extracted.ok() || extracted.error().code() != Errc::kCorrupt) return extracted;
  RETURN_IF_ERROR(pod::mend_image(work.store, work.image, image_fetcher(work.context, std::move(again)),
                                  std::move(extracted).error()));
  return work.store.extract(work.image, directory, work.cancel);
}

// rkt's layout of an unpacked ACI.
Status unpack_with_manifest(const Work& work, const std::string& directory) {
  Status made = sys::mkdirat(sys::kCwd, directory, 0755);
  const bool created = made.ok();
  if (!created && made.error().errno_value() != EEXIST) return made;
  if (!created) {
    ASSIGN_OR_RETURN(const UniqueFd fd, sys::openat(sys::kCwd, directory, O_RDONLY | O_DIRECTORY));
    ASSIGN_OR_RETURN(const auto names, sys::list_directory(fd));
    if (!names.empty())
      return Error(Errc::kAlreadyExists, "directory " + quoted(directory) + " is not empty", ENOTEMPTY)
          .with_hint("name another, or use --overwrite");
  }
  const std::string rootfs = directory + "/rootfs";
  const auto take_away = [&] {
    (void)!io::remove_tree(sys::kCwd, rootfs).ok();
    if (created) (void)!sys::unlinkat(sys::kCwd, directory, AT_REMOVEDIR).ok();
  };
  ScopeExit undo(take_away);
  RETURN_IF_ERROR(unpack_files(work, rootfs, take_away));
  ASSIGN_OR_RETURN(const std::string manifest, work.store.aci_manifest_bytes(work.image, rootfs));
  RETURN_IF_ERROR(io::write_file_atomic(directory + "/manifest", manifest));
  undo.dismiss();
  return {};
}

Result<int> unpack_into(const Context& context, const Args& args, bool rootfs_only) {
  RETURN_IF_ERROR(check_images(std::span(args.positional()).first(1)));
  const std::string& directory = args.positional()[1];
  ASSIGN_OR_RETURN(const RegistryAccess access, registry_access(args));
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  ASSIGN_OR_RETURN(image::Store store, engine.images());
  ASSIGN_OR_RETURN(const image::Image image, store.find(args.positional().front()));
  ASSIGN_OR_RETURN(Place place, Place::open(directory, args.enabled("overwrite"), engine.options().root));
  // Until the end: neither a half tree nor a half of the old one is left.
  ASSIGN_OR_RETURN(StopSignals signals, StopSignals::open());
  const Work work{context, store, image, access, signals.fd()};
  Status unpacked = rootfs_only ? unpack_files(work, place.path()) : unpack_with_manifest(work, place.path());
  if (!unpacked.ok() && unpacked.error().code() == Errc::kCancelled) die_by_signal(signals.taken());
  if (!unpacked.ok())
    return place.path() == directory ? std::move(unpacked).error()
                                     : std::move(unpacked).error().with("in place of " + quoted(directory));
  mark_as_unpacked(place.path());
  RETURN_IF_ERROR(place.publish());
  if (context.json()) RETURN_IF_ERROR(print_image(context, image, directory));
  return 0;
}

Result<int> extract(const Context& context, const Args& args) {
  return unpack_into(context, args, true);
}

Result<int> render(const Context& context, const Args& args) {
  return unpack_into(context, args, args.enabled("rootfs-only"));
}

}  // namespace

const Command& extract_command() {
  static const Command kCommand = {
      .path = "image extract",
      .usage = "IMAGE DIRECTORY",
      .summary = "unpack an image into a new or empty directory",
      .description =
          "Blobs that are damaged or missing are fetched again from the registry of the image's name, to "
          "which the flags apply. An ACI is unpacked with its dependencies.",
      .flags = {kUnpackFlags, kRegistryFlags},
      .min_args = 2,
      .max_args = 2,
      .handler = extract,
      .needs = Needs::kOwners,
      .completes = Completes::kImages,
      .later = Completes::kDirectories};
  return kCommand;
}

const Command& render_command() {
  static const Command kCommand = {
      .path = "image render",
      .usage = "IMAGE DIRECTORY",
      .summary = "unpack an image as rkt does: its manifest, and its files in rootfs",
      .description =
          "The manifest is that of the ACI; an OCI image has the one that image export gives it. With "
          "--rootfs-only it is image extract.",
      .flags = {kRenderFlags, kRegistryFlags},
      .min_args = 2,
      .max_args = 2,
      .handler = render,
      .needs = Needs::kOwners,
      .completes = Completes::kImages,
      .later = Completes::kDirectories};
  return kCommand;
}

const Command& export_command() {
  static const Command kCommand = {
      .path = "image export",
      .usage = "IMAGE FILE",
      .summary = "write an image as an ACI: image convert --to aci, which replaces no file unless told",
      .description = "An ACI that was loaded comes out byte for byte, uncompressed; an OCI image is converted.",
      .flags = {kExportFlags},
      .min_args = 2,
      .max_args = 2,
      .handler = export_image,
      .needs = Needs::kOwners,
      .completes = Completes::kImages,
      .later = Completes::kFiles};
  return kCommand;
}

}  // namespace cooper::cli
