#include "pod/shifted_attribute.h"

#include <linux/capability.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>

#include "spec/oci_runtime/id_maps.h"

namespace cooper::pod {
namespace {

std::uint32_t read_le(std::string_view bytes, std::size_t at, std::size_t size) {
  std::uint32_t out = 0;
  for (std::size_t i = size; i-- > 0;) out = out << 8 | static_cast<unsigned char>(bytes[at + i]);
  return out;
}

void write_le32(std::string& bytes, std::size_t at, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<char>(value >> (8 * i) & 0xff);
}

std::optional<std::string> shift_capability(std::string value, const stage1::IdMaps& maps) {
  if (value.size() != XATTR_CAPS_SZ_2 && value.size() != XATTR_CAPS_SZ_3) return value;
  const std::uint32_t magic = read_le(value, 0, 4);
  const std::uint32_t revision = magic & VFS_CAP_REVISION_MASK;
  const bool old = revision == VFS_CAP_REVISION_2 && value.size() == XATTR_CAPS_SZ_2;
  if (!old && (revision != VFS_CAP_REVISION_3 || value.size() != XATTR_CAPS_SZ_3)) return value;
  const auto root = oci::host_id(maps.uids, old ? 0 : read_le(value, XATTR_CAPS_SZ_2, 4));
  if (!root) return std::nullopt;
  value.resize(XATTR_CAPS_SZ_3);
  write_le32(value, 0, (magic & ~VFS_CAP_REVISION_MASK) | VFS_CAP_REVISION_3);
  write_le32(value, XATTR_CAPS_SZ_2, *root);
  return value;
}

// A version, and entries of tag, permissions and id.
std::optional<std::string> shift_acl(std::string value, const stage1::IdMaps& maps) {
  constexpr std::size_t kHeader = 4;
  constexpr std::size_t kEntry = 8;
  if (value.size() < kHeader || (value.size() - kHeader) % kEntry != 0) return value;
  if (read_le(value, 0, 4) != POSIX_ACL_XATTR_VERSION) return value;
  for (std::size_t at = kHeader; at < value.size(); at += kEntry) {
    const std::uint32_t tag = read_le(value, at, 2);
    if (tag != ACL_USER && tag != ACL_GROUP) continue;
    const auto id = oci::host_id(tag == ACL_USER ? maps.uids : maps.gids, read_le(value, at + 4, 4));
    if (!id) return std::nullopt;
    write_le32(value, at + 4, *id);
  }
  return value;
}

}  // namespace

std::optional<std::string> shift_attribute(std::string_view name, std::string value, const stage1::IdMaps& maps) {
  if (maps.empty()) return value;
  if (name == "security.capability") return shift_capability(std::move(value), maps);
  if (name == "system.posix_acl_access" || name == "system.posix_acl_default") return shift_acl(std::move(value), maps);
  return value;
}

}  // namespace cooper::pod
