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
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/error.h"
#include "codec/tar.h"

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

  FileModel();
  // The next layer's uncompressed tar. Reads to the archive's end mark, not further. What fails leaves a model of no
  // use. Layers that TreeBuilder refuses are refused with the same codes.
  Status apply(codec::BlockSource& tar);

  const Node& node(Index index) const { return nodes_[index]; }
  std::uint64_t entries() const { return entries_; }

 private:
  using Entry = codec::tar::Entry;
  enum class Missing { kFail, kCreate };
  struct Step {
    std::string name;
    Index node;
  };
  // Directories from the root to one of them, without the root.
  using Steps = std::vector<Step>;
  struct Place {
    Index dir;
    std::string name;
    std::string path;
  };

  Status apply_entry(codec::tar::Reader& reader, const Entry& entry);
  Status apply_whiteout(std::string_view parent, std::string_view name);
  void make_opaque(Index dir, const std::string& path);
  Status make_file(codec::tar::Reader& reader, const Place& place, const Entry& entry);
  Status make_hard_link(const Place& place, const Entry& entry);
  void make_directory(const Place& place, const Entry& entry);
  Result<std::optional<Steps>> walk(std::string_view clean, Missing missing, const Entry* made_for);
  Result<bool> follow(Steps& steps, const std::string& target, Missing missing, const Entry* made_for);
  // The child that is a directory; nullopt when there is none and none is made. A link is for the caller.
  std::optional<Index> enter(Index dir, std::string_view name, Missing missing, const Entry* made_for);
  void put(const Place& place, Index node);
  void remove(Index dir, std::string_view name);
  Index add_node(FileFacts facts);
  void touch(std::string_view path);
  bool is_touched(const std::string& path) const { return touched_.contains(path); }
  Index last(const Steps& steps) const { return steps.empty() ? kRoot : steps.back().node; }

  std::vector<Node> nodes_;
  std::unordered_set<std::string> touched_;  // by this layer, as in TreeBuilder
  bool has_lower_ = false;
  std::uint32_t euid_;
  std::uint32_t egid_;
  std::uint64_t entries_ = 0;
  std::uint64_t bytes_ = 0;  // of memory, about
};

}  // namespace cooper::image
