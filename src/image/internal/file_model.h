// What the layers of an image unpack to, without unpacking them: names, metadata, and a digest of each content. It
// follows the rules of TreeBuilder to the letter, so that a tree on the disk can be held against it; memory goes with
// the number of files (a few hundred bytes each), not with their sizes, and is bounded (1 GiB, Errc::kLimit). A copy is
// a tree of its own: images that share their first layers start from one model.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "codec/tar.h"
#include "image/internal/layer_tree.h"

namespace cooper::image {

struct FileFacts {
  codec::tar::EntryType type = codec::tar::EntryType::kDirectory;  // never kHardLink
  std::uint32_t mode = 0755;                                       // 07777
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint64_t size_bytes = 0;  // of a file
  std::int64_t mtime_s = 0;
  std::uint32_t mtime_ns = 0;
  std::uint32_t device_major = 0;
  std::uint32_t device_minor = 0;
  std::uint64_t links = 0;                                       // names of it; of directories 0
  std::string text = {};                                         // content of a file (ContentHash); target of a link
  std::vector<std::pair<std::string, std::string>> xattrs = {};  // sorted
};

class FileModel {
 public:
  using Index = std::size_t;
  using Children = std::map<std::string, Index, std::less<>>;
  struct Node {
    FileFacts facts;
    Children children = {};
  };
  static constexpr Index kRoot = 0;

  // kTree: of what TreeBuilder makes of the layers in this process, with its user and what it cannot make. kLayers: of
  // what they say.
  enum class Of { kTree, kLayers };
  explicit FileModel(Of what = Of::kTree);
  // The next layer's uncompressed tar. Reads to the archive's end mark, not further. What fails leaves a model of no
  // use. Layers that TreeBuilder refuses are refused with the same codes.
  Status apply(codec::BlockSource& tar);

  const Node& node(Index index) const { return nodes_[index]; }
  std::uint64_t entries() const { return entries_; }

 private:
  // The tree of a LayerWalk (layer_tree.h).
  template <typename>
  friend class LayerWalk;
  template <typename>
  friend class LinkWalk;
  template <typename>
  friend class DirStack;
  using Entry = codec::tar::Entry;
  using Handle = Index;
  using Dir = Index;
  using Made = Index;
  using Place = image::Place<Dir>;
  static Dir root() { return kRoot; }
  static Result<Handle> root_handle() { return kRoot; }
  static Dir borrow(Handle handle) { return handle; }
  Result<Found<Handle>> find(Dir dir, const std::string& name) const;
  Result<Handle> make_missing(Dir dir, const std::string& name, const std::string& path, const Entry& made_for);
  void set_root(const Entry& entry) { set_facts(kRoot, entry); }
  Result<Made> create(const Place& place, const Entry& entry);
  Status fill(Made made, codec::tar::Reader& reader, const Place& place, const Entry& entry);
  void set_directory(const Place& place, const Entry& entry);
  Status link(Dir dir, const std::string& target, const Place& place);
  Result<bool> remove(Dir dir, const std::string& name, const std::string& path);
  Result<std::vector<std::string>> names(Dir dir) const;
  Status check_limits(std::uint64_t walk_bytes) const;
  bool leaves_out_devices() const;

  // nullopt when there is none.
  std::optional<Index> child(Dir dir, std::string_view name) const;
  Index add_child(Dir dir, const std::string& name, FileFacts facts);
  void set_facts(Index index, const Entry& entry);

  std::vector<Node> nodes_;
  LayerRules rules_;
  Of what_;
  std::uint32_t euid_;
  std::uint32_t egid_;
  std::uint64_t entries_ = 0;
  std::uint64_t bytes_ = 0;  // of memory, about
};

}  // namespace cooper::image
