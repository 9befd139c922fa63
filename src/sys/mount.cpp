#include "sys/mount.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "base/strings.h"

namespace cooper::sys {
namespace {

// The kernel explains fs context failures in messages ("e overlay: ..."); keep the last error line.
std::string context_message(BorrowedFd context) {
  std::string words;
  std::array<char, 1024> buffer{};
  for (int i = 0; i < 16; ++i) {
    const ssize_t n = ::read(context.get(), buffer.data(), buffer.size());
    if (n <= 2) break;
    std::string_view line(buffer.data(), static_cast<std::size_t>(n));
    if (line[0] == 'e' || words.empty()) words = std::string(trim(line.substr(2)));
  }
  return words;
}

Error context_error(BorrowedFd context, int saved, const std::string& what) {
  std::string words = context_message(context);
  Error error = Error::from_errno(saved, what);
  if (words.empty()) return error;
  return std::move(error).with_hint("the kernel says: " + words);
}

}  // namespace

Status mount(const std::string& source, const std::string& target, const std::string& fstype, unsigned long flags,
             const std::string& data) {
  if (::mount(source.c_str(), target.c_str(), fstype.empty() ? nullptr : fstype.c_str(), flags,
              data.empty() ? nullptr : data.c_str()) != 0) {
    const int saved = errno;
    return Error::from_errno(saved, "mount " + quoted(fstype.empty() ? source : fstype) + " on " + quoted(target));
  }
  return {};
}

Status umount2(const std::string& target, int flags) {
  if (::umount2(target.c_str(), flags) != 0) {
    const int saved = errno;
    return Error::from_errno(saved, "unmount " + quoted(target));
  }
  return {};
}

Status pivot_root(const std::string& new_root, const std::string& put_old) {
  if (::syscall(SYS_pivot_root, new_root.c_str(), put_old.c_str()) != 0) {
    const int saved = errno;
    return Error::from_errno(saved, "pivot_root to " + quoted(new_root));
  }
  return {};
}

Result<UniqueFd> fsopen(const std::string& fstype) {
  const long fd = ::syscall(SYS_fsopen, fstype.c_str(), FSOPEN_CLOEXEC);
  if (fd < 0) {
    const int saved = errno;
    return Error::from_errno(saved, "open file system type " + quoted(fstype));
  }
  return UniqueFd(static_cast<int>(fd));
}

Status fsconfig_string(BorrowedFd context, const std::string& key, const std::string& value) {
  if (::syscall(SYS_fsconfig, context.get(), FSCONFIG_SET_STRING, key.c_str(), value.c_str(), 0) != 0) {
    const int saved = errno;
    return context_error(context, saved, "set mount option " + quoted(key + "=" + value));
  }
  return {};
}

Status fsconfig_flag(BorrowedFd context, const std::string& key) {
  if (::syscall(SYS_fsconfig, context.get(), FSCONFIG_SET_FLAG, key.c_str(), nullptr, 0) != 0) {
    const int saved = errno;
    return context_error(context, saved, "set mount option " + quoted(key));
  }
  return {};
}

Status fsconfig_create(BorrowedFd context) {
  if (::syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    const int saved = errno;
    return context_error(context, saved, "create file system");
  }
  return {};
}

Result<UniqueFd> fspick(BorrowedFd mount) {
  const long fd = ::syscall(SYS_fspick, mount.get(), "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);
  if (fd < 0) {
    const int saved = errno;
    return Error::from_errno(saved, "open mounted file system");
  }
  return UniqueFd(static_cast<int>(fd));
}

Status fsconfig_reconfigure(BorrowedFd context) {
  if (::syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_RECONFIGURE, nullptr, nullptr, 0) != 0) {
    const int saved = errno;
    return context_error(context, saved, "change file system");
  }
  return {};
}

Result<UniqueFd> fsmount(BorrowedFd context, std::uint32_t attributes) {
  const long fd = ::syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, attributes);
  if (fd < 0) {
    const int saved = errno;
    return context_error(context, saved, "make mount");
  }
  return UniqueFd(static_cast<int>(fd));
}

Result<UniqueFd> open_tree(BorrowedFd dir, const std::string& path, unsigned flags) {
  const long fd = ::syscall(SYS_open_tree, dir.get(), path.c_str(), flags | OPEN_TREE_CLOEXEC);
  if (fd < 0) {
    const int saved = errno;
    return Error::from_errno(saved, "open mount tree " + quoted(path));
  }
  return UniqueFd(static_cast<int>(fd));
}

Status move_mount(BorrowedFd from, BorrowedFd to) {
  if (::syscall(SYS_move_mount, from.get(), "", to.get(), "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
    const int saved = errno;
    return Error::from_errno(saved, "attach mount");
  }
  return {};
}

Status move_mount(BorrowedFd from, BorrowedFd to_dir, const std::string& name) {
  if (::syscall(SYS_move_mount, from.get(), "", to_dir.get(), name.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    const int saved = errno;
    return Error::from_errno(saved, "attach mount to " + quoted(name));
  }
  return {};
}

Status join_peer_group(BorrowedFd from, BorrowedFd to) {
  constexpr unsigned kFlags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH | MOVE_MOUNT_SET_GROUP;
  if (::syscall(SYS_move_mount, from.get(), "", to.get(), "", kFlags) != 0) {
    const int saved = errno;
    return Error::from_errno(saved, "join the mount's peer group");
  }
  return {};
}

Status mount_setattr(BorrowedFd dir, const std::string& path, unsigned flags, std::uint64_t set, std::uint64_t clear,
                     std::uint64_t propagation, int userns_fd) {
  struct mount_attr attr = {};
  attr.attr_set = set;
  attr.attr_clr = clear;
  attr.propagation = propagation;
  if (userns_fd >= 0) {
    attr.attr_set |= MOUNT_ATTR_IDMAP;
    attr.userns_fd = static_cast<std::uint64_t>(userns_fd);
  }
  if (::syscall(SYS_mount_setattr, dir.get(), path.c_str(), flags, &attr, sizeof attr) != 0) {
    const int saved = errno;
    return Error::from_errno(saved, "set mount attributes of " + quoted(path));
  }
  return {};
}

}  // namespace cooper::sys
