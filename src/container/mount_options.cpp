#include "container/mount_options.h"

#include <array>

#include "base/strings.h"
#include "sys/mount.h"

namespace cooper::container {
namespace {

using enum OptionKind;

// The superblock flag that has no MS_ constant in user space headers of every age.
#ifndef MS_LAZYTIME
#define MS_LAZYTIME (1 << 25)
#endif

constexpr std::array kWords = std::to_array<OptionWord>({
    // The mount itself.
    {"ro", kAttrSet, MOUNT_ATTR_RDONLY},
    {"rw", kAttrClear, MOUNT_ATTR_RDONLY},
    {"nosuid", kAttrSet, MOUNT_ATTR_NOSUID},
    {"suid", kAttrClear, MOUNT_ATTR_NOSUID},
    {"nodev", kAttrSet, MOUNT_ATTR_NODEV},
    {"dev", kAttrClear, MOUNT_ATTR_NODEV},
    {"noexec", kAttrSet, MOUNT_ATTR_NOEXEC},
    {"exec", kAttrClear, MOUNT_ATTR_NOEXEC},
    {"nodiratime", kAttrSet, MOUNT_ATTR_NODIRATIME},
    {"diratime", kAttrClear, MOUNT_ATTR_NODIRATIME},
    {"nosymfollow", kAttrSet, MOUNT_ATTR_NOSYMFOLLOW},
    {"symfollow", kAttrClear, MOUNT_ATTR_NOSYMFOLLOW},
    // One field of the attributes, not bits: choosing a value clears the field first. relatime is the kernel's default,
    // so "atime" goes back to it.
    {"relatime", kAtime, MOUNT_ATTR_RELATIME},
    {"atime", kAtime, MOUNT_ATTR_RELATIME},
    {"norelatime", kNotAtime, MOUNT_ATTR_RELATIME},
    {"nostrictatime", kNotAtime, MOUNT_ATTR_STRICTATIME},
    {"noatime", kAtime, MOUNT_ATTR_NOATIME},
    {"strictatime", kAtime, MOUNT_ATTR_STRICTATIME},
    // Everything below a bind mount too (mount_setattr with AT_RECURSIVE).
    {"rro", kRecAttrSet, MOUNT_ATTR_RDONLY},
    {"rrw", kRecAttrClear, MOUNT_ATTR_RDONLY},
    {"rnosuid", kRecAttrSet, MOUNT_ATTR_NOSUID},
    {"rsuid", kRecAttrClear, MOUNT_ATTR_NOSUID},
    {"rnodev", kRecAttrSet, MOUNT_ATTR_NODEV},
    {"rdev", kRecAttrClear, MOUNT_ATTR_NODEV},
    {"rnoexec", kRecAttrSet, MOUNT_ATTR_NOEXEC},
    {"rexec", kRecAttrClear, MOUNT_ATTR_NOEXEC},
    {"rnodiratime", kRecAttrSet, MOUNT_ATTR_NODIRATIME},
    {"rdiratime", kRecAttrClear, MOUNT_ATTR_NODIRATIME},
    {"rnosymfollow", kRecAttrSet, MOUNT_ATTR_NOSYMFOLLOW},
    {"rsymfollow", kRecAttrClear, MOUNT_ATTR_NOSYMFOLLOW},
    {"rrelatime", kRecAtime, MOUNT_ATTR_RELATIME},
    {"ratime", kRecAtime, MOUNT_ATTR_RELATIME},
    {"rnorelatime", kRecNotAtime, MOUNT_ATTR_RELATIME},
    {"rnostrictatime", kRecNotAtime, MOUNT_ATTR_STRICTATIME},
    {"rnoatime", kRecAtime, MOUNT_ATTR_NOATIME},
    {"rstrictatime", kRecAtime, MOUNT_ATTR_STRICTATIME},
    // The file system instance.
    {"sync", kSuperblockSet, MS_SYNCHRONOUS},
    {"async", kSuperblockClear, MS_SYNCHRONOUS},
    {"dirsync", kSuperblockSet, MS_DIRSYNC},
    {"mand", kSuperblockSet, MS_MANDLOCK},
    {"nomand", kSuperblockClear, MS_MANDLOCK},
    {"lazytime", kSuperblockSet, MS_LAZYTIME},
    {"nolazytime", kSuperblockClear, MS_LAZYTIME},
    {"iversion", kSuperblockSet, MS_I_VERSION},
    {"noiversion", kSuperblockClear, MS_I_VERSION},
    {"silent", kSuperblockSet, MS_SILENT},
    {"loud", kSuperblockClear, MS_SILENT},
    {"private", kPropagation, MS_PRIVATE},
    {"rprivate", kPropagation, MS_PRIVATE | MS_REC},
    {"shared", kPropagation, MS_SHARED},
    {"rshared", kPropagation, MS_SHARED | MS_REC},
    {"slave", kPropagation, MS_SLAVE},
    {"rslave", kPropagation, MS_SLAVE | MS_REC},
    {"unbindable", kPropagation, MS_UNBINDABLE},
    {"runbindable", kPropagation, MS_UNBINDABLE | MS_REC},
    {"bind", kBind, 0},
    {"rbind", kBind, 1},
    {"remount", kRemount, 0},
    {"idmap", kIdmap, 0},
    {"ridmap", kIdmap, 1},
    {"tmpcopyup", kCopyUp, 0},
    {"defaults", kIgnored, 0},
});

const OptionWord* find_word(std::string_view word) {
  for (const OptionWord& entry : kWords) {
    if (entry.word == word) return &entry;
  }
  return nullptr;
}

void set_field(std::uint64_t& set, std::uint64_t& clear, std::uint64_t mask, std::uint64_t value) {
  set = (set & ~mask) | value;
  clear |= mask;
}

void apply(const OptionWord& word, MountOptions& out) {
  switch (word.kind) {
    case kAttrSet:
      out.attr_set |= word.value;
      out.attr_clear &= ~word.value;
      break;
    case kAttrClear:
      out.attr_clear |= word.value;
      out.attr_set &= ~word.value;
      break;
    case kAtime:
      set_field(out.attr_set, out.attr_clear, MOUNT_ATTR__ATIME, word.value);
      break;
    case kNotAtime:
      if ((out.attr_set & MOUNT_ATTR__ATIME) == word.value)
        set_field(out.attr_set, out.attr_clear, MOUNT_ATTR__ATIME, MOUNT_ATTR_RELATIME);
      break;
    case kRecAttrSet:
      out.rec_attr_set |= word.value;
      out.rec_attr_clear &= ~word.value;
      break;
    case kRecAttrClear:
      out.rec_attr_clear |= word.value;
      out.rec_attr_set &= ~word.value;
      break;
    case kRecAtime:
      set_field(out.rec_attr_set, out.rec_attr_clear, MOUNT_ATTR__ATIME, word.value);
      break;
    case kRecNotAtime:
      if ((out.rec_attr_set & MOUNT_ATTR__ATIME) == word.value)
        set_field(out.rec_attr_set, out.rec_attr_clear, MOUNT_ATTR__ATIME, MOUNT_ATTR_RELATIME);
      break;
    case kSuperblockSet:
      out.superblock_flags |= word.value;
      break;
    case kSuperblockClear:
      out.superblock_flags &= ~word.value;
      break;
    case kPropagation:
      out.propagation.push_back(word.value);
      break;
    case kBind:
      out.bind = true;
      out.recursive = out.recursive || word.value != 0;
      break;
    case kRemount:
      out.remount = true;
      break;
    case kIdmap:
      out.idmap = true;
      out.idmap_recursive = out.idmap_recursive || word.value != 0;
      break;
    case kCopyUp:
      out.copy_up = true;
      break;
    case kIgnored:
      break;
  }
}

}  // namespace

std::span<const OptionWord> mount_option_words() {
  return kWords;
}

Result<MountOptions> resolve_mount_options(const std::vector<std::string>& words) {
  MountOptions out;
  for (const std::string& word : words) {
    if (const OptionWord* known = find_word(word)) {
      apply(*known, out);
    } else if (is_idmap_word(word)) {
      apply(*find_word(word.substr(0, word.find('='))), out);
      ASSIGN_OR_RETURN(out.idmap_words, parse_idmap_words(std::string_view(word).substr(word.find('=') + 1)));
    } else if (!word.empty()) {
      out.data.push_back(word);
    }
  }
  return out;
}

std::uint64_t propagation_from_word(std::string_view word) {
  const OptionWord* known = find_word(word);
  return known != nullptr && known->kind == kPropagation ? known->value : 0;
}

std::vector<std::string> attribute_words(std::uint64_t attributes) {
  std::vector<std::string> out;
  for (const OptionWord& entry : kWords) {
    if (entry.kind == kAttrSet && (attributes & entry.value) != 0) out.emplace_back(entry.word);
  }
  const std::uint64_t atime = attributes & MOUNT_ATTR__ATIME;
  // In a clear mask the whole field is named; in a set mask its value.
  if (atime == MOUNT_ATTR__ATIME) {
    out.emplace_back("atime-mode");
  } else if (atime == MOUNT_ATTR_NOATIME) {
    out.emplace_back("noatime");
  } else if (atime == MOUNT_ATTR_STRICTATIME) {
    out.emplace_back("strictatime");
  }
  return out;
}

std::vector<std::string> superblock_words(std::uint64_t flags) {
  std::vector<std::string> out;
  if ((flags & MS_RDONLY) != 0) out.emplace_back("ro");
  for (const OptionWord& entry : kWords) {
    if (entry.kind == kSuperblockSet && (flags & entry.value) != 0) out.emplace_back(entry.word);
  }
  return out;
}

std::string propagation_word(std::uint64_t flags) {
  for (const OptionWord& entry : kWords) {
    if (entry.kind == kPropagation && entry.value == flags) return std::string(entry.word);
  }
  return std::to_string(flags);
}

}  // namespace cooper::container
