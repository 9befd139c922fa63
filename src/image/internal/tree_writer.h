// A directory of this machine as a tar: every file of it with owner, mode, times, extended attributes, holes and hard
// links, in the order of the names, so that equal trees give equal bytes.
//
// No symbolic link is followed, and nothing is opened that has not been looked at. What changes while it is read
// (content, type, or names of a directory) is Errc::kBusy, for what was written by then is neither the old nor the new.
// Sockets cannot be in a tar and are left out. Not written are the attributes that no image may set (tree_builder.h).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/fd.h"
#include "codec/tar_writer.h"
#include "image/internal/ignore_rules.h"

namespace cooper::image {

struct TreeWriteOptions {
  std::string prefix = {};   // of all names in the archive: "rootfs"
  bool with_root = true;     // an entry for the directory itself: the prefix, or "./"
  bool for_a_layer = false;  // refuse what a layer would be read as something else: whiteouts, of files or of overlayfs
  std::optional<std::pair<std::uint32_t, std::uint32_t>> owner = {};  // of everything: uid, gid
  std::optional<std::int64_t> newest_s = {};                          // what is newer is of this time
  const IgnoreRules* rules = nullptr;
  std::string leave_out = {};  // one file of the directory itself
  // Told what is left out that nobody asked to, "run/x.sock", and why.
  std::function<void(const std::string& path, std::string_view why)> skipped = {};
};

struct TreeWritten {
  std::uint64_t entries = 0;  // but the root
  std::int64_t newest_s = 0;  // time of the newest, the root too if it is written
};

// `root` is open for reading. Errc::kLimit for what no reader of ours takes: paths, and directories in each other.
Result<TreeWritten> write_tree(BorrowedFd root, const TreeWriteOptions& options, codec::tar::Writer& writer);

}  // namespace cooper::image
