// What layers are applied to: a tree on the disk (TreeBuilder) or in memory (FileModel). The rules of layers are in
// LayerWalk and DirStack, once, as templates over the tree; a tree does what they ask for and decides nothing:
//
//   Handle, Dir                          owns a directory while it is in use, borrows one
//   Made                                 what create() hands to fill()
//   Dir root();  Result<Handle> root_handle();  static Dir borrow(const Handle&)
//   Result<Found<Handle>> find(Dir, const std::string& name)
//                                        follows no link
//   Result<Handle> make_missing(Dir, const std::string& name, const std::string& path, const Entry& made_for)
//                                        a directory no entry asked for
//   void set_root(const Entry&)          the metadata of the root
//   Result<Made> create(const Place<Dir>&, const Entry&)
//                                        no hard link; EEXIST when something is there
//   Status fill(const Made&, codec::tar::Reader&, const Place<Dir>&, const Entry&)
//                                        content and metadata of what is no directory
//   void set_directory(const Place<Dir>&, const Entry&)
//                                        the metadata of a directory, which may have been there before
//   Status link(Dir, const std::string& target, const Place<Dir>&)
//                                        ENOENT: no such target; EPERM: it is a directory; EEXIST
//   Result<bool> remove(Dir, const std::string& name, const std::string& path)
//                                        true when a directory has gone; a missing name is fine
//   Result<std::vector<std::string>> names(Dir)
//   bool leaves_out_devices()            asked for each device node: it is not made, nor are hard links to it, but it
//                                        takes the place of what was there
//   Status check_limits(std::uint64_t walk_bytes)
//                                        after each entry; `walk_bytes`: memory that the walk takes itself
#pragma once

#include <cstdint>
#include <string>

namespace cooper::image {

struct LayerRules {
  bool has_lower = false;         // there is something to hide
  bool require_end_mark = false;  // refuse archives without one (nothing else tells that they were cut)
  bool refuse_whiteouts = false;  // names that would hide files: nothing lies below, and they would be lost
  std::uint64_t max_lookups = 20'000'000;
};

// Where an entry goes: its directory, its name there, and its real path.
template <typename Dir>
struct Place {
  Dir dir;
  std::string name;
  std::string path;
};

enum class FoundKind { kNothing, kDirectory, kLink, kOther };

template <typename Handle>
struct Found {
  FoundKind kind = FoundKind::kNothing;
  Handle directory = {};
  std::string target = {};  // of a link
};

}  // namespace cooper::image
