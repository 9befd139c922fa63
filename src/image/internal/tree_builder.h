// Applies the layers of an image, base first, to one empty directory: the merged tree, not one directory a layer.
//
// The rules of a layer are in layer_walk.h.
//
// Kept: owner, mode with setuid, setgid and sticky bits, modification time, extended attributes (security.capability
// after the owner is set), device nodes, fifos, holes of sparse files, hard links. Attributes the file system cannot
// store are left out; trusted.overlay.* and user.overlay.* are never set, for they would speak to overlayfs, nor
// trusted.cooper.*, which speaks to us, nor are labels of the machine that built the image (security.selinux, .ima,
// .evm, .apparmor). Directories nobody listed get the caller's owner (root), mode 0755 and the time of what made them
// necessary. Directory metadata is set by finish(), so that unpacking does not disturb it.
//
// What is remembered of directories until finish(), and of the paths of a layer until its end, is bounded (TreeLimits,
// Errc::kLimit): a layer of a few kilobytes may list gigabytes of it.
//
// Needs root for owners, device nodes and most attributes. Root of a user namespace has less: device nodes are left out
// there (left_out()), and so are attributes that only root of the machine may set (keeps_xattr()); an owner that the
// namespace has no id for ends the work, which need not be all that is done with the layers (give_up()). The calling
// thread's umask must be 0.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "codec/tar.h"
#include "image/internal/layer_tree.h"

namespace cooper::image {

struct TreeLimits {
  std::uint64_t directory_xattr_bytes = std::uint64_t{8} << 20;
  std::uint64_t path_bytes = std::uint64_t{256} << 20;  // about a million files
};

class TreeBuilder {
 public:
  // `root`: an empty directory nobody else uses, opened for reading, without access lists (io/access_lists.h); must
  // outlive the builder.
  explicit TreeBuilder(BorrowedFd root, TreeLimits limits = {});

  // The next layer's uncompressed tar. Reads to the archive's end mark, not further.
  Status apply(codec::BlockSource& tar);
  // Sets the metadata of all directories. Nothing may be applied afterwards.
  Status finish();

  std::uint64_t entries() const { return entries_; }
  // Bytes written to files, hard links counted once.
  std::uint64_t bytes() const { return bytes_; }
  // Device nodes, of all layers, also of those that a later one hides.
  std::uint64_t left_out() const { return left_out_; }
  // For who has use of the layers without their tree: such an owner is no error of process_layers(), only no tree is
  // made.
  void allow_giving_up() { allows_giving_up_ = true; }
  bool may_give_up() const { return allows_giving_up_ && lacks_owner_; }
  void give_up(Error why) { given_up_.emplace(std::move(why)); }
  const std::optional<Error>& given_up() const { return given_up_; }
  // Refuse archives without an end mark (nothing else tells that they were cut).
  void require_end_mark() { rules_.require_end_mark = true; }
  void refuse_whiteouts() { rules_.refuse_whiteouts = true; }

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
  // The tree of a LayerWalk (layer_tree.h).
  template <typename>
  friend class LayerWalk;
  template <typename>
  friend class LinkWalk;
  template <typename>
  friend class DirStack;
  using Handle = UniqueFd;
  using Dir = BorrowedFd;
  using Made = UniqueFd;  // of a file
  using Place = image::Place<Dir>;
  Dir root() const { return root_; }
  Result<Handle> root_handle() const;
  static Dir borrow(const Handle& handle) { return handle; }
  Result<Found<Handle>> find(Dir dir, const std::string& name) const;
  Result<Handle> make_missing(Dir dir, const std::string& name, const std::string& path, const Entry& made_for);
  void set_root(const Entry& entry) { keep_directory({}, entry); }
  Result<Made> create(const Place& place, const Entry& entry);
  Status fill(const Made& file, codec::tar::Reader& reader, const Place& place, const Entry& entry);
  void set_directory(const Place& place, const Entry& entry) { keep_directory(place.path, entry); }
  static Status link(Dir dir, const std::string& target, const Place& place);
  Result<bool> remove(Dir dir, const std::string& name, const std::string& path);
  static Result<std::vector<std::string>> names(Dir dir);
  Status check_limits(std::uint64_t walk_bytes) const;
  bool leaves_out_devices();

  Status fill_file(BorrowedFd file, codec::tar::Reader& reader, const Entry& entry);
  Status write_data(codec::tar::Reader& reader, BorrowedFd file, const Entry& entry);
  Status set_node_metadata(const Place& place, const Entry& entry);
  // What finish() will set.
  void keep_directory(const std::string& path, DirectoryMeta meta);
  void keep_directory(const std::string& path, const Entry& entry);
  void forget_directories(const std::string& path);
  Status set_metadata(BorrowedFd dir, const DirectoryMeta& meta);
  Status make_node(const Place& place, const Entry& entry);
  Status explain_owner(Status given, std::uint32_t uid, std::uint32_t gid);
  bool needs_owner(std::uint32_t uid, std::uint32_t gid) const {
    return uid != euid_ || gid != egid_ || !group_is_ours_;
  }

  BorrowedFd root_;
  TreeLimits limits_;
  std::map<std::string, DirectoryMeta, std::less<>> directories_;
  std::uint64_t directory_path_bytes_ = 0;
  std::uint64_t directory_xattr_bytes_ = 0;
  LayerRules rules_;
  std::uint32_t euid_;
  std::uint32_t egid_;
  bool group_is_ours_ = false;  // of new files
  std::uint64_t entries_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t left_out_ = 0;
  bool lacks_owner_ = false;
  bool allows_giving_up_ = false;
  std::optional<Error> given_up_;
};

// False for attributes that are never taken from an image, and in a user namespace for those that cannot be set there.
bool keeps_xattr(std::string_view name);

}  // namespace cooper::image
