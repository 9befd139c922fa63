// Applies the layers of an image, base first, to one empty directory: the merged tree, not one directory a layer.
//
// A layer is hostile. Names and links never lead out of the root (see dir_stack.h); a layer that tries is refused with
// Errc::kPermission. Absolute names count from the root. Whiteouts (".wh.x", ".wh..wh..opq") hide what lower layers
// have and never what their own layer brings, in whatever order it lists them; other ".wh..wh.*" names (aufs) are
// passed over. Later entries replace earlier ones of another type; a directory replaces only non-directories.
//
// Kept: owner, mode with setuid, setgid and sticky bits, modification time, extended attributes (security.capability
// after the owner is set), device nodes, fifos, holes of sparse files, hard links. Attributes the file system cannot
// store are left out; trusted.overlay.* and user.overlay.* are never set, for they would speak to overlayfs, nor are
// labels of the machine that built the image (security.selinux, .ima, .evm, .apparmor). Directories nobody listed get
// the caller's owner (root), mode 0755 and the time of what made them necessary. Directory metadata is set by finish(),
// so that unpacking does not disturb it.
//
// What is remembered of directories until finish(), and of the paths of a layer until its end, is bounded (TreeLimits,
// Errc::kLimit): a layer of a few kilobytes may list gigabytes of it.
//
// Needs root for owners, device nodes and most attributes. The calling thread's umask must be 0.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "codec/tar.h"
#include "image/internal/dir_stack.h"

namespace cooper::image {

struct TreeLimits {
  std::uint64_t directory_xattr_bytes = std::uint64_t{8} << 20;
  std::uint64_t path_bytes = std::uint64_t{256} << 20;  // about a million files
};

class TreeBuilder {
 public:
  // `root`: an empty directory nobody else uses, opened for reading; must outlive the builder.
  explicit TreeBuilder(BorrowedFd root, TreeLimits limits = {});

  // The next layer's uncompressed tar. Reads to the archive's end mark, not further.
  Status apply(codec::BlockSource& tar);
  // Sets the metadata of all directories. Nothing may be applied afterwards.
  Status finish();

  std::uint64_t entries() const { return entries_; }
  // Bytes written to files, hard links counted once.
  std::uint64_t bytes() const { return bytes_; }
  // Refuse archives without an end mark (nothing else tells that they were cut).
  void require_end_mark() { require_end_mark_ = true; }

 private:
  using Entry = codec::tar::Entry;
  struct DirectoryMeta {
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::uint32_t mode = 0755;
    std::int64_t mtime_s = 0;
    std::uint32_t mtime_ns = 0;
    std::vector<std::pair<std::string, std::string>> xattrs = {};
  };
  // Where an entry goes: its directory, its name there, and its real path.
  struct Place {
    BorrowedFd dir;
    std::string name;
    std::string path;
  };

  Status apply_entry(codec::tar::Reader& reader, const Entry& entry);
  Status apply_whiteout(std::string_view parent, std::string_view name);
  Status make_opaque(BorrowedFd dir, const std::string& path);
  Status make_directory(const Place& place, const Entry& entry);
  Status make_file(codec::tar::Reader& reader, const Place& place, const Entry& entry);
  Status write_data(codec::tar::Reader& reader, BorrowedFd file, const Entry& entry);
  Status make_hard_link(const Place& place, const Entry& entry);
  Status make_symlink(const Place& place, const Entry& entry);
  Status make_node(const Place& place, const Entry& entry);
  Status set_node_metadata(const Place& place, const Entry& entry);
  // Removes whatever is at the place; a missing one is fine.
  Status remove_existing(BorrowedFd dir, const std::string& name, const std::string& path);
  template <typename F>
  Status create_replacing(const Place& place, F create);
  Status note_created(const Entry& entry);
  // What finish() will set.
  Status keep_directory(const std::string& path, DirectoryMeta meta);
  void forget_directories(const std::string& path);
  Status touch(const std::string& path);
  Status check_limits() const;
  bool is_touched(const std::string& path) const { return touched_.contains(path); }
  Status set_directory(BorrowedFd dir, const DirectoryMeta& meta);
  bool needs_owner(std::uint32_t uid, std::uint32_t gid) const { return uid != euid_ || gid != egid_; }

  BorrowedFd root_;
  TreeLimits limits_;
  DirStack stack_;
  DirStack link_stack_;  // for targets of hard links
  std::map<std::string, DirectoryMeta, std::less<>> directories_;
  // Paths of this layer and their parents; kept only above the first layer, where there is something to hide.
  std::unordered_set<std::string> touched_;
  std::uint64_t directory_path_bytes_ = 0;
  std::uint64_t touched_path_bytes_ = 0;
  std::uint64_t directory_xattr_bytes_ = 0;
  bool has_lower_ = false;
  bool require_end_mark_ = false;
  std::uint32_t euid_;
  std::uint32_t egid_;
  std::uint64_t entries_ = 0;
  std::uint64_t bytes_ = 0;
};

// Exposed for tests: false for attributes that are never taken from an image.
bool keeps_xattr(std::string_view name);

}  // namespace cooper::image
