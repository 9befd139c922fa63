// The mount calls, old and new. All need CAP_SYS_ADMIN over the mount namespace (or the new superblock's user
// namespace).
#pragma once

#include <sys/mount.h>

#include <cstdint>
#include <string>

#include "base/error.h"
#include "base/fd.h"
#include "sys/missing.h"

namespace cooper::sys {

Status mount(const std::string& source, const std::string& target, const std::string& fstype, unsigned long flags,
             const std::string& data);
Status umount2(const std::string& target, int flags);
Status pivot_root(const std::string& new_root, const std::string& put_old);

// 5.2. A failing fs context call reports the kernel's own words (read from the context) in the message.
Result<UniqueFd> fsopen(const std::string& fstype);
Status fsconfig_string(BorrowedFd context, const std::string& key, const std::string& value);
Status fsconfig_flag(BorrowedFd context, const std::string& key);
Status fsconfig_create(BorrowedFd context);
// To change a file system that is mounted: the context of its mount `mount`, and the change. 5.2.
Result<UniqueFd> fspick(BorrowedFd mount);
Status fsconfig_reconfigure(BorrowedFd context);
// attributes: MOUNT_ATTR_*.
Result<UniqueFd> fsmount(BorrowedFd context, std::uint32_t attributes);
// 5.2. flags: OPEN_TREE_CLONE, AT_RECURSIVE, AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW (OPEN_TREE_CLOEXEC is added).
Result<UniqueFd> open_tree(BorrowedFd dir, const std::string& path, unsigned flags);
// Moves the detached or attached mount `from` onto the place that the O_PATH descriptor `to` refers to. 5.2.
Status move_mount(BorrowedFd from, BorrowedFd to);
// The same onto an entry of a directory; a symbolic link is not followed.
Status move_mount(BorrowedFd from, BorrowedFd to_dir, const std::string& name);
// Makes the private mount `to` a peer of the shared mount `from`; both are roots of attached mounts of one file
// system. 5.15.
Status join_peer_group(BorrowedFd from, BorrowedFd to);
// 5.12. ENOSYS is reported as Errc::kUnsupported.
Status mount_setattr(BorrowedFd dir, const std::string& path, unsigned flags, std::uint64_t set, std::uint64_t clear,
                     std::uint64_t propagation = 0, int userns_fd = -1);

}  // namespace cooper::sys
