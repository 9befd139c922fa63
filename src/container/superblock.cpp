#include "container/superblock.h"

#include <sys/mount.h>

#include <array>

#include "base/strings.h"
#include "sys/mount.h"

namespace cooper::container {
namespace {

struct FlagWord {
  std::uint64_t flag;
  const char* word;
};
// Flags of a superblock under the names that fsconfig(2) knows.
constexpr std::array kSuperblockWords = std::to_array<FlagWord>({{MS_RDONLY, "ro"},
                                                                 {MS_SYNCHRONOUS, "sync"},
                                                                 {MS_DIRSYNC, "dirsync"},
                                                                 {MS_MANDLOCK, "mand"},
                                                                 {MS_LAZYTIME, "lazytime"}});

}  // namespace

Status set_superblock_options(BorrowedFd context, const Mount& mount) {
  for (const FlagWord& entry : kSuperblockWords) {
    if ((mount.superblock_flags & entry.flag) != 0) RETURN_IF_ERROR(sys::fsconfig_flag(context, entry.word));
  }
  for (const std::string& option : mount.data) {
    const auto pair = split_once(option, '=');
    RETURN_IF_ERROR(pair ? sys::fsconfig_string(context, std::string(pair->first), std::string(pair->second))
                         : sys::fsconfig_flag(context, option));
  }
  return {};
}

Status remount_superblock(BorrowedFd place, const Mount& mount) {
  if (mount.superblock_flags == 0 && mount.data.empty()) return {};
  ASSIGN_OR_RETURN(const UniqueFd context, sys::fspick(place));
  RETURN_IF_ERROR(set_superblock_options(context, mount));
  return sys::fsconfig_reconfigure(context);
}

}  // namespace cooper::container
