// Applies one layer to a tree (layer_tree.h): the rules for names, whiteouts, replaced files, hard links and limits,
// for trees on the disk and in memory alike.
//
// A layer is hostile. Names and links never lead out of the root (see dir_stack.h); a layer that tries is refused with
// Errc::kPermission. Absolute names count from the root. Whiteouts (".wh.x", ".wh..wh..opq") hide what lower layers
// have and never what their own layer brings, in whatever order it lists them; other ".wh..wh.*" names (aufs) are
// passed over. Later entries replace earlier ones of another type; a directory replaces only non-directories.
#pragma once

#include <string>
#include <string_view>
#include <unordered_set>

#include "base/error.h"
#include "base/strings.h"
#include "codec/tar.h"
#include "image/internal/dir_stack.h"
#include "image/internal/layer_path.h"
#include "image/internal/layer_tree.h"
#include "image/internal/whiteouts.h"

namespace cooper::image {

inline constexpr std::uint64_t kPathOverhead = 128;  // bytes of memory that a path takes beside its own

template <typename Tree>
class LayerWalk {
 public:
  LayerWalk(Tree& tree, LayerRules rules)
      : tree_(tree), rules_(rules), lookups_(rules.max_lookups), stack_(tree, lookups_), link_stack_(tree, lookups_) {}

  // The uncompressed tar. Reads to the archive's end mark, not further. What fails leaves a tree of no use.
  Status apply(codec::BlockSource& tar);
  std::uint64_t entries() const { return entries_; }

 private:
  using Entry = codec::tar::Entry;
  using EntryType = codec::tar::EntryType;
  using Dir = typename Tree::Dir;

  Status apply_entry(codec::tar::Reader& reader, const Entry& entry);
  Status make(codec::tar::Reader& reader, const Place<Dir>& place, const Entry& entry);
  Status make_directory(const Place<Dir>& place, const Entry& entry);
  Status make_hard_link(const Place<Dir>& place, const Entry& entry);
  Status apply_whiteout(std::string_view parent, std::string_view name);
  // Nothing is made of it.
  Status leave_out(const Place<Dir>& place);
  // Removes from a directory what this layer did not bring.
  Status make_opaque(Dir dir, const std::string& path);
  // Removes whatever is there; a missing one is fine.
  Status remove(Dir dir, const std::string& name, const std::string& path);
  void touch(std::string_view path);
  bool is_touched(const std::string& path) const { return touched_.contains(path); }

  Tree& tree_;
  LayerRules rules_;
  Lookups lookups_;
  DirStack<Tree> stack_;
  DirStack<Tree> link_stack_;  // for targets of hard links
  // Paths of this layer and their parents; kept only where there is something to hide.
  std::unordered_set<std::string> touched_;
  std::unordered_set<std::string> opaque_;    // nothing of lower layers is left below these
  std::unordered_set<std::string> left_out_;  // device nodes of this layer that were not made
  std::uint64_t touched_bytes_ = 0;
  std::uint64_t entries_ = 0;
};

inline bool is_device(const codec::tar::Entry& entry) {
  return entry.type == codec::tar::EntryType::kCharDevice || entry.type == codec::tar::EntryType::kBlockDevice;
}

// What a symbolic link or a device node must be like.
inline Status check_entry(const codec::tar::Entry& entry) {
  using codec::tar::EntryType;
  if (entry.type == EntryType::kSymlink) {
    if (entry.link_target.empty()) return Error(Errc::kCorrupt, "symbolic link without a target");
    if (entry.link_target.find('\0') != std::string::npos) return Error(Errc::kCorrupt, "target holds a NUL byte");
  }
  // The kernel's device numbers have 12 and 20 bits.
  if (is_device(entry) && (entry.device_major > 0xfff || entry.device_minor > 0xfffff))
    return Error(Errc::kCorrupt, "device number is out of range");
  return {};
}

template <typename Tree>
Status LayerWalk<Tree>::apply(codec::BlockSource& tar) {
  codec::tar::Reader reader(tar);
  Entry entry;
  while (true) {
    ASSIGN_OR_RETURN(const bool more, reader.next(entry));
    if (!more) break;
    Status applied = apply_entry(reader, entry);
    if (applied.ok()) applied = tree_.check_limits(touched_bytes_);
    if (!applied.ok())
      return std::move(applied).error().with(std::string(codec::tar::to_string(entry.type)) + " " +
                                             cooper::quoted(entry.path));
    ++entries_;
  }
  if (rules_.require_end_mark && !reader.saw_end_mark())
    return Error(Errc::kCorrupt, "tar: archive is truncated: it has no end mark");
  return {};
}

template <typename Tree>
Status LayerWalk<Tree>::apply_entry(codec::tar::Reader& reader, const Entry& entry) {
  ASSIGN_OR_RETURN(const std::string clean, clean_path(entry.path));
  if (clean.empty()) {
    if (entry.type != EntryType::kDirectory) return Error(Errc::kPermission, "the root can only be a directory");
    tree_.set_root(entry);
    return {};
  }
  const auto [parent, name] = split_parent(clean);
  if (rules_.refuse_whiteouts && has_whiteout(clean))
    return Error(Errc::kUnsupported, "a name that begins with .wh. would hide files, in a layer");
  if (name.starts_with(kWhiteout)) return apply_whiteout(parent, name);
  ASSIGN_OR_RETURN(const auto directory, stack_.walk(parent, &entry));
  if (!directory) return Error(Errc::kInternal, "its directory was not made");
  const Place<Dir> place{.dir = directory->dir, .name = std::string(name), .path = join_path(directory->path, name)};
  touch(place.path);
  if (entry.type == EntryType::kDirectory) return make_directory(place, entry);
  if (entry.type == EntryType::kHardLink) return make_hard_link(place, entry);
  return make(reader, place, entry);
}

template <typename Tree>
Status LayerWalk<Tree>::make(codec::tar::Reader& reader, const Place<Dir>& place, const Entry& entry) {
  RETURN_IF_ERROR(check_entry(entry));
  // To overlayfs this one says that there is no such file.
  const bool whiteout = entry.type == EntryType::kCharDevice && entry.device_major == 0 && entry.device_minor == 0;
  if (whiteout || (is_device(entry) && tree_.leaves_out_devices())) return leave_out(place);
  auto made = tree_.create(place, entry);
  if (!made.ok() && made.error().errno_value() == EEXIST) {
    RETURN_IF_ERROR(remove(place.dir, place.name, place.path));
    made = tree_.create(place, entry);
  }
  if (!made.ok()) return std::move(made).error();
  return tree_.fill(*made, reader, place, entry);
}

template <typename Tree>
Status LayerWalk<Tree>::leave_out(const Place<Dir>& place) {
  if (left_out_.insert(place.path).second) touched_bytes_ += place.path.size() + kPathOverhead;
  return remove(place.dir, place.name, place.path);
}

template <typename Tree>
Status LayerWalk<Tree>::make_directory(const Place<Dir>& place, const Entry& entry) {
  auto made = tree_.create(place, entry);
  if (!made.ok() && made.error().errno_value() == EEXIST) {
    ASSIGN_OR_RETURN(const auto found, tree_.find(place.dir, place.name));
    if (found.kind == FoundKind::kDirectory) {
      tree_.set_directory(place, entry);
      return {};
    }
    RETURN_IF_ERROR(remove(place.dir, place.name, place.path));
    made = tree_.create(place, entry);
  }
  if (!made.ok()) return std::move(made).error();
  tree_.set_directory(place, entry);
  return {};
}

template <typename Tree>
Status LayerWalk<Tree>::make_hard_link(const Place<Dir>& place, const Entry& entry) {
  auto clean = clean_path(entry.link_target);
  if (!clean.ok()) return std::move(clean).error().with("hard link to " + cooper::quoted(entry.link_target));
  const auto [parent, name] = split_parent(*clean);
  if (name.empty()) return Error(Errc::kPermission, "a hard link cannot lead to the root");
  ASSIGN_OR_RETURN(const auto directory, link_stack_.walk(parent, nullptr));
  const auto missing = [&] {
    return Error(Errc::kCorrupt, "target " + cooper::quoted(entry.link_target) + " does not exist");
  };
  if (!directory) return missing();
  const std::string target(name);
  const std::string path = join_path(directory->path, target);
  if (path == place.path) return Error(Errc::kCorrupt, "a hard link to itself");
  if (place.path.starts_with(path + "/")) return Error(Errc::kCorrupt, "a hard link to a directory");
  if (path.starts_with(place.path + "/"))
    return Error(Errc::kCorrupt, "a hard link would replace the directory of its target");
  Status linked = tree_.link(directory->dir, target, place);
  // By the name of one that was not made.
  if (!linked.ok() && linked.error().errno_value() == ENOENT && left_out_.contains(path)) return leave_out(place);
  if (!linked.ok() && linked.error().errno_value() == EEXIST) {
    RETURN_IF_ERROR(remove(place.dir, place.name, place.path));
    linked = tree_.link(directory->dir, target, place);
  }
  if (linked.ok()) return linked;
  if (linked.error().errno_value() == ENOENT) return missing();
  if (linked.error().errno_value() == EPERM)
    return Error(Errc::kCorrupt, "target " + cooper::quoted(entry.link_target) + " is a directory", EPERM);
  return linked;
}

template <typename Tree>
Status LayerWalk<Tree>::apply_whiteout(std::string_view parent, std::string_view name) {
  const std::string hidden(name.substr(kWhiteout.size()));
  const bool opaque = name == kOpaque;
  if (!opaque && name.starts_with(kWhiteoutMeta)) return {};
  if (hidden.empty() || hidden == "." || hidden == "..") return Error(Errc::kPermission, "whiteout of no file");
  if (!rules_.has_lower) return {};
  ASSIGN_OR_RETURN(const auto directory, stack_.walk(parent, nullptr));
  if (!directory) return {};
  if (opaque) {
    touch(directory->path);
    return make_opaque(directory->dir, directory->path);
  }
  const std::string path = join_path(directory->path, hidden);
  if (!is_touched(path)) return remove(directory->dir, hidden, path);
  // This layer has brought it: only what came from below goes.
  ASSIGN_OR_RETURN(const auto inside, tree_.find(directory->dir, hidden));
  return inside.kind == FoundKind::kDirectory ? make_opaque(Tree::borrow(inside.directory), path) : Status();
}

template <typename Tree>
Status LayerWalk<Tree>::make_opaque(Dir dir, const std::string& path) {
  if (!opaque_.insert(path).second) return {};
  touched_bytes_ += path.size() + kPathOverhead;
  ASSIGN_OR_RETURN(const auto names, tree_.names(dir));
  for (const std::string& name : names) {
    RETURN_IF_ERROR(lookups_.count());
    const std::string child = join_path(path, name);
    if (!is_touched(child)) {
      RETURN_IF_ERROR(remove(dir, name, child));
      continue;
    }
    ASSIGN_OR_RETURN(const auto inside, tree_.find(dir, name));
    if (inside.kind == FoundKind::kDirectory) RETURN_IF_ERROR(make_opaque(Tree::borrow(inside.directory), child));
  }
  return {};
}

template <typename Tree>
Status LayerWalk<Tree>::remove(Dir dir, const std::string& name, const std::string& path) {
  stack_.before_removal();
  link_stack_.before_removal();
  ASSIGN_OR_RETURN(const bool directory, tree_.remove(dir, name, path));
  if (directory) {
    stack_.invalidate();
    link_stack_.invalidate();
  }
  return {};
}

template <typename Tree>
void LayerWalk<Tree>::touch(std::string_view path) {
  if (!rules_.has_lower) return;
  while (!path.empty() && touched_.emplace(path).second) {
    touched_bytes_ += path.size() + kPathOverhead;
    path = split_parent(path).first;
  }
}

}  // namespace cooper::image
