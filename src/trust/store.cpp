#include "trust/store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/chars.h"
#include "base/strings.h"
#include "io/file.h"
#include "sys/file.h"
#include "trust/armor.h"

namespace cooper::trust {
namespace {

constexpr std::size_t kMaxPrefixBytes = 255;
constexpr int kMaxDepth = 64;
constexpr std::size_t kFingerprintDigits = 40;

bool is_fingerprint(std::string_view name) {
  return name.size() == kFingerprintDigits && all_lower_hex(name);
}

std::string below(const std::string& top, std::string_view name) {
  return std::string(top).append("/").append(name);
}

struct Found {
  std::string prefix;
  std::string fingerprint;
  std::string path;
  bool empty = false;
};

// The keys in a directory, and below it as further parts of the prefix.
Status walk(const std::string& directory, const std::string& prefix, bool deeper, int depth, std::vector<Found>& out) {
  auto fd = sys::openat(sys::kCwd, directory, O_RDONLY | O_DIRECTORY);
  if (!fd.ok() && fd.error().code() == Errc::kNotFound) return {};
  if (!fd.ok()) return std::move(fd).error();
  ASSIGN_OR_RETURN(auto names, sys::list_directory(*fd));
  std::ranges::sort(names);
  for (const std::string& name : names) {
    const auto info = sys::fstatat(*fd, name, 0);
    if (!info.ok()) continue;
    if (S_ISREG(info->st_mode) && is_fingerprint(name)) {
      out.push_back({prefix, name, below(directory, name), info->st_size == 0});
    } else if (S_ISDIR(info->st_mode) && deeper && depth < kMaxDepth) {
      const std::string longer = prefix.empty() ? name : below(prefix, name);
      if (check_prefix(longer).ok()) RETURN_IF_ERROR(walk(below(directory, name), longer, true, depth + 1, out));
    }
  }
  return {};
}

Result<std::vector<Found>> walk_all(const std::string& top) {
  std::vector<Found> out;
  RETURN_IF_ERROR(walk(below(top, "root.d"), "", false, 0, out));
  RETURN_IF_ERROR(walk(below(top, "prefix.d"), "", true, 0, out));
  return out;
}

// What is not of the user's own, if it is one's: of the administrator's keys and masks, and the distribution's keys,
// the keys that count.
Result<std::vector<Found>> walk_others(const TrustDirectories& directories) {
  if (directories.administrator.empty()) return walk_all(directories.vendor);
  ASSIGN_OR_RETURN(auto out, walk_all(directories.administrator));
  ASSIGN_OR_RETURN(const auto vendor, walk_all(directories.vendor));
  const std::size_t own = out.size();
  for (const Found& found : vendor) {
    const bool replaced = std::any_of(
        out.begin(), out.begin() + static_cast<std::ptrdiff_t>(own),
        [&](const Found& one) { return one.prefix == found.prefix && one.fingerprint == found.fingerprint; });
    if (!replaced) out.push_back(found);
  }
  std::erase_if(out, [](const Found& found) { return found.empty; });
  return out;
}

}  // namespace

Status check_prefix(std::string_view prefix) {
  bool after_word = false;
  bool fine = !prefix.empty() && prefix.size() <= kMaxPrefixBytes;
  for (const char c : prefix) {
    const bool between = std::string_view("-._~/").find(c) != std::string_view::npos;
    fine = fine && (is_lower_alnum(c) || (between && after_word));
    after_word = is_lower_alnum(c);
  }
  if (fine && after_word) return {};
  Error error(Errc::kInvalidArgument, quoted(prefix) + " is no name of images, nor the beginning of one");
  if (prefix.find("://") != std::string_view::npos) return std::move(error).with_hint("leave out the scheme");
  return std::move(error).with_hint(
      "as in example.com/team: lower-case letters, digits, and between them one of -._~/");
}

bool is_meant(std::string_view prefix, std::string_view name) {
  return prefix.empty() || name == prefix || (name.starts_with(prefix) && name[prefix.size()] == '/');
}

std::string KeyStore::directory_of(const std::string& top, const std::string& prefix) const {
  return prefix.empty() ? below(top, "root.d") : below(below(top, "prefix.d"), prefix);
}

Result<std::vector<TrustedKey>> KeyStore::list() const {
  ASSIGN_OR_RETURN(const auto local, walk_all(directories_.local));
  ASSIGN_OR_RETURN(const auto vendor, walk_others(directories_));
  std::vector<TrustedKey> out;
  const auto local_of = [&](const Found& found) {
    return std::ranges::find_if(
        local, [&](const Found& one) { return one.prefix == found.prefix && one.fingerprint == found.fingerprint; });
  };
  for (const Found& found : local) {
    if (!found.empty) out.push_back({found.prefix, found.fingerprint, found.path});
  }
  for (const Found& found : vendor) {
    const auto mine = local_of(found);
    // A copy of one's own wins.
    if (found.empty || (mine != local.end() && !mine->empty)) continue;
    out.push_back({found.prefix, found.fingerprint, found.path, true, mine != local.end()});
  }
  std::ranges::sort(out, [](const TrustedKey& a, const TrustedKey& b) {
    return std::pair(a.prefix, a.fingerprint) < std::pair(b.prefix, b.fingerprint);
  });
  return out;
}

Result<Key> KeyStore::read(const TrustedKey& entry) {
  const std::string what = "trusted key " + quoted(entry.path);
  auto file = io::read_regular_file(entry.path, kMaxKeyFileBytes);
  if (!file.ok()) return std::move(file).error().with(what);
  ASSIGN_OR_RETURN(std::vector<Key> keys, parse_keys(*file, what));
  if (keys.size() != 1 || keys.front().fingerprint != entry.fingerprint)
    return Error(Errc::kCorrupt, what + " is not the one key that its name says")
        .with_hint("remove it, and add the key again: cooper trust add");
  return std::move(keys.front());
}

Result<std::vector<Key>> KeyStore::keys_for(std::string_view image_name) const {
  RETURN_IF_ERROR(check_prefix(image_name));
  ASSIGN_OR_RETURN(const auto entries, list());
  std::vector<Key> out;
  for (const TrustedKey& entry : entries) {
    if (entry.masked || !is_meant(entry.prefix, image_name)) continue;
    if (std::ranges::find(out, entry.fingerprint, &Key::fingerprint) != out.end()) continue;
    ASSIGN_OR_RETURN(Key key, read(entry));
    out.push_back(std::move(key));
  }
  return out;
}

Result<KeyStore::Added> KeyStore::add(const Key& key, const std::string& prefix) {
  if (!prefix.empty()) RETURN_IF_ERROR(check_prefix(prefix));
  const std::string directory = directory_of(directories_.local, prefix);
  const std::string path = below(directory, key.fingerprint);
  const std::string text = armor(key.packets, "PUBLIC KEY BLOCK");
  Added added = Added::kNew;
  if (const auto before = io::read_regular_file(path, kMaxKeyFileBytes); before.ok() && !before->empty()) {
    if (*before == text) return Added::kThere;
    added = Added::kRenewed;
  }
  RETURN_IF_ERROR(io::make_directories(directory));
  RETURN_IF_ERROR(io::write_file_atomic(path, text, 0644, io::Durability::kFsync));
  return added;
}

Status KeyStore::remove_local(const TrustedKey& entry) {
  RETURN_IF_ERROR(sys::unlinkat(sys::kCwd, entry.path));
  // Parts of the prefix that hold nothing any more, as far up as they are ours.
  const std::string top = below(directories_.local, "prefix.d");
  std::string directory = directory_of(directories_.local, entry.prefix);
  while (directory.size() > top.size() && directory.starts_with(top)) {
    if (!sys::unlinkat(sys::kCwd, directory, AT_REMOVEDIR).ok()) break;
    directory.resize(directory.rfind('/'));
  }
  return {};
}

Result<std::vector<TrustedKey>> KeyStore::remove(std::string_view fingerprint,
                                                 const std::optional<std::string>& prefix) {
  ASSIGN_OR_RETURN(const auto vendor, walk_others(directories_));
  ASSIGN_OR_RETURN(const auto entries, list());
  std::vector<TrustedKey> out;
  for (const TrustedKey& entry : entries) {
    if (entry.masked || !entry.fingerprint.ends_with(fingerprint) || (prefix && entry.prefix != *prefix)) continue;
    const bool behind = std::ranges::any_of(vendor, [&](const Found& found) {
      return found.prefix == entry.prefix && found.fingerprint == entry.fingerprint && !found.empty;
    });
    if (behind) {
      // The vendor's would be trusted again.
      const std::string directory = directory_of(directories_.local, entry.prefix);
      RETURN_IF_ERROR(io::make_directories(directory));
      RETURN_IF_ERROR(io::write_file_atomic(below(directory, entry.fingerprint), "", 0644, io::Durability::kFsync));
    } else {
      RETURN_IF_ERROR(remove_local(entry));
    }
    out.push_back(entry);
    out.back().masked = behind;
  }
  return out;
}

}  // namespace cooper::trust
