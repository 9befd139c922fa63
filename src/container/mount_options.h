// Mount option words: the table of the runtime specification (plus what mount(8), runc and crun take), and its
// resolution.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "container/idmap_words.h"

namespace cooper::container {

// What a word does. Attribute words act on the mount itself; recursive ones (rro ...) on the whole tree below a bind.
enum class OptionKind : std::uint8_t {
  kAttrSet,    // value: MOUNT_ATTR_* to set
  kAttrClear,  // value: MOUNT_ATTR_* to clear
  kAtime,      // value: one of the MOUNT_ATTR__ATIME field's values
  kNotAtime,   // value: the one that is not to be; back to the kernel's default if it is
  kRecAttrSet,
  kRecAttrClear,
  kRecAtime,
  kRecNotAtime,
  kSuperblockSet,  // value: MS_* of the file system instance
  kSuperblockClear,
  kPropagation,  // value: MS_* (with MS_REC)
  kBind,         // value: 1 when recursive
  kRemount,
  kIdmap,  // value: 1 when recursive
  kCopyUp,
  kIgnored,  // the default anyway
};

struct OptionWord {
  std::string_view word;
  OptionKind kind;
  std::uint64_t value;
};

// All known words; `features` prints them.
std::span<const OptionWord> mount_option_words();

// The words of one mount, resolved. Later words win over earlier ones.
struct MountOptions {
  bool bind = false;
  bool recursive = false;
  bool remount = false;
  bool copy_up = false;
  bool idmap = false;
  bool idmap_recursive = false;
  IdmapWords idmap_words;  // of "idmap=...", or empty
  std::uint64_t attr_set = 0, attr_clear = 0;
  std::uint64_t rec_attr_set = 0, rec_attr_clear = 0;
  std::uint64_t superblock_flags = 0;
  std::vector<std::uint64_t> propagation;
  std::vector<std::string> data;  // everything unknown, in order
};
// Fails for "idmap=" and "ridmap=" with what are no mappings.
Result<MountOptions> resolve_mount_options(const std::vector<std::string>& words);

// "private", "rslave" ...: the words of rootfsPropagation and of mount propagation. 0: unknown.
std::uint64_t propagation_from_word(std::string_view word);

// Flags -> words, for printing.
std::vector<std::string> attribute_words(std::uint64_t attributes);
std::vector<std::string> superblock_words(std::uint64_t flags);
std::string propagation_word(std::uint64_t flags);

}  // namespace cooper::container
