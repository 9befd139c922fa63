#include "image/internal/file_model.h"

#include <unistd.h>

#include <algorithm>
#include <deque>

#include "base/strings.h"
#include "image/internal/content_hash.h"
#include "image/internal/dir_stack.h"
#include "image/internal/tree_builder.h"
#include "image/internal/whiteouts.h"

namespace cooper::image {
namespace {

using codec::tar::EntryType;

constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 30;
constexpr std::uint64_t kNodeBytes = 400;  // with its name

std::string join_path(std::string_view parent, std::string_view name) {
  std::string out(parent);
  if (!out.empty()) out += '/';
  out += name;
  return out;
}

std::vector<std::pair<std::string, std::string>> kept_xattrs(const codec::tar::Entry& entry) {
  const bool has_user = entry.type == EntryType::kFile || entry.type == EntryType::kDirectory;
  std::map<std::string, std::string> kept;
  for (const auto& [name, value] : entry.xattrs) {
    if (keeps_xattr(name) && (has_user || !name.starts_with("user."))) kept[name] = value;
  }
  return {kept.begin(), kept.end()};
}

FileFacts facts_of(const codec::tar::Entry& entry) {
  FileFacts facts{.type = entry.type,
                  .mode = entry.mode & 07777,
                  .uid = entry.uid,
                  .gid = entry.gid,
                  .mtime_s = entry.mtime_s,
                  .mtime_ns = entry.mtime_ns,
                  .xattrs = kept_xattrs(entry)};
  if (entry.type == EntryType::kCharDevice || entry.type == EntryType::kBlockDevice) {
    facts.device_major = entry.device_major;
    facts.device_minor = entry.device_minor;
  }
  if (entry.type == EntryType::kSymlink) {
    facts.mode = 0777;
    facts.text = entry.link_target;
  }
  return facts;
}

}  // namespace

FileModel::FileModel() : euid_(::geteuid()), egid_(::getegid()) {
  add_node({.uid = euid_, .gid = egid_});
}

FileModel::Index FileModel::add_node(FileFacts facts) {
  bytes_ += kNodeBytes + facts.text.size();
  for (const auto& [name, value] : facts.xattrs) bytes_ += name.size() + value.size();
  nodes_.push_back({.facts = std::move(facts)});
  return nodes_.size() - 1;
}

Status FileModel::apply(codec::BlockSource& tar) {
  touched_.clear();
  codec::tar::Reader reader(tar);
  Entry entry;
  while (true) {
    ASSIGN_OR_RETURN(const bool more, reader.next(entry));
    if (!more) break;
    if (Status applied = apply_entry(reader, entry); !applied.ok()) {
      return std::move(applied).error().with(std::string(codec::tar::to_string(entry.type)) + " " + quoted(entry.path));
    }
    ++entries_;
    if (bytes_ > kMaxBytes)
      return Error(Errc::kLimit, "the files of the image take more than " + format_bytes(kMaxBytes) + " to compare");
  }
  has_lower_ = true;
  touched_.clear();
  return {};
}

Status FileModel::apply_entry(codec::tar::Reader& reader, const Entry& entry) {
  ASSIGN_OR_RETURN(const std::string clean, clean_path(entry.path));
  if (clean.empty()) {
    if (entry.type != EntryType::kDirectory) return Error(Errc::kPermission, "the root can only be a directory");
    nodes_[kRoot].facts = facts_of(entry);
    return {};
  }
  const auto [parent, name] = split_parent(clean);
  if (name.starts_with(kWhiteout)) return apply_whiteout(parent, name);
  ASSIGN_OR_RETURN(const auto steps, walk(parent, Missing::kCreate, &entry));
  if (!steps) return Error(Errc::kInternal, "a directory was not made");
  Place place{.dir = last(*steps), .name = std::string(name), .path = {}};
  for (const Step& step : *steps) place.path += step.name + "/";
  place.path += place.name;
  touch(place.path);
  switch (entry.type) {
    case EntryType::kFile:
      return make_file(reader, place, entry);
    case EntryType::kHardLink:
      return make_hard_link(place, entry);
    case EntryType::kDirectory:
      make_directory(place, entry);
      return {};
    case EntryType::kSymlink:
      if (entry.link_target.empty()) return Error(Errc::kCorrupt, "symbolic link without a target");
      if (entry.link_target.find('\0') != std::string::npos) return Error(Errc::kCorrupt, "target holds a NUL byte");
      break;
    default:
      break;
  }
  put(place, add_node(facts_of(entry)));
  return {};
}

void FileModel::touch(std::string_view path) {
  if (!has_lower_) return;
  while (!path.empty() && touched_.emplace(path).second) path = split_parent(path).first;
}

void FileModel::remove(Index dir, std::string_view name) {
  const auto found = nodes_[dir].children.find(name);
  if (found == nodes_[dir].children.end()) return;
  std::vector<Index> gone = {found->second};
  nodes_[dir].children.erase(found);
  while (!gone.empty()) {
    Node& node = nodes_[gone.back()];
    gone.pop_back();
    if (node.facts.links > 1) {
      --node.facts.links;
      continue;
    }
    for (const auto& [child, index] : node.children) gone.push_back(index);
    node = Node();  // its memory, not its number
  }
}

void FileModel::put(const Place& place, Index node) {
  remove(place.dir, place.name);
  nodes_[place.dir].children.emplace(place.name, node);
  if (nodes_[node].facts.type != EntryType::kDirectory) ++nodes_[node].facts.links;
}

std::optional<FileModel::Index> FileModel::enter(Index dir, std::string_view name, Missing missing,
                                                 const Entry* made_for) {
  const auto found = nodes_[dir].children.find(name);
  if (found != nodes_[dir].children.end()) return found->second;
  if (missing == Missing::kFail) return std::nullopt;
  const Index made =
      add_node({.uid = euid_, .gid = egid_, .mtime_s = made_for->mtime_s, .mtime_ns = made_for->mtime_ns});
  nodes_[dir].children.emplace(name, made);
  return made;
}

// Resolves a link's target from the directory it lies in, component by component; `steps` end where it leads.
Result<bool> FileModel::follow(Steps& steps, const std::string& target, Missing missing, const Entry* made_for) {
  std::deque<std::string> pending;
  int links = 0;
  const auto push_target = [&](const std::string& text) -> Status {
    if (++links > kMaxSymlinks) return Error(Errc::kCorrupt, "too many levels of symbolic links", ELOOP);
    if (text.starts_with('/')) steps.clear();
    const auto parts = split(text, '/');
    for (auto part = parts.rbegin(); part != parts.rend(); ++part) pending.emplace_front(*part);
    return {};
  };
  RETURN_IF_ERROR(push_target(target));
  while (!pending.empty()) {
    const std::string name = std::move(pending.front());
    pending.pop_front();
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      if (steps.empty()) return Error(Errc::kPermission, "a symbolic link on the way leads out of the root");
      steps.pop_back();
      continue;
    }
    if (steps.size() == kMaxPathDepth) return Error(Errc::kLimit, "path is too deep");
    const auto next = enter(last(steps), name, missing, made_for);
    if (!next) return false;
    const FileFacts& facts = nodes_[*next].facts;
    if (facts.type == EntryType::kDirectory) {
      steps.push_back({name, *next});
    } else if (facts.type == EntryType::kSymlink) {
      RETURN_IF_ERROR(push_target(std::string(facts.text)));
    } else {
      return Error(Errc::kCorrupt, quoted(name) + " is not a directory");
    }
  }
  return true;
}

Result<std::optional<FileModel::Steps>> FileModel::walk(std::string_view clean, Missing missing,
                                                        const Entry* made_for) {
  Steps steps;
  while (!clean.empty()) {
    const std::size_t slash = std::min(clean.find('/'), clean.size());
    const std::string_view name = clean.substr(0, slash);
    clean.remove_prefix(std::min(slash + 1, clean.size()));
    const auto next = enter(last(steps), name, missing, made_for);
    if (!next) return std::optional<Steps>();
    const FileFacts& facts = nodes_[*next].facts;
    if (facts.type == EntryType::kDirectory) {
      steps.push_back({std::string(name), *next});
    } else if (facts.type == EntryType::kSymlink) {
      ASSIGN_OR_RETURN(const bool there, follow(steps, std::string(facts.text), missing, made_for));
      if (!there) return std::optional<Steps>();
    } else {
      return Error(Errc::kCorrupt, quoted(name) + " is not a directory");
    }
  }
  return std::optional(std::move(steps));
}

void FileModel::make_directory(const Place& place, const Entry& entry) {
  const auto found = nodes_[place.dir].children.find(place.name);
  if (found != nodes_[place.dir].children.end() && nodes_[found->second].facts.type == EntryType::kDirectory) {
    nodes_[found->second].facts = facts_of(entry);
    for (const auto& [name, value] : nodes_[found->second].facts.xattrs) bytes_ += name.size() + value.size();
    return;
  }
  put(place, add_node(facts_of(entry)));
}

Status FileModel::make_file(codec::tar::Reader& reader, const Place& place, const Entry& entry) {
  FileFacts facts = facts_of(entry);
  facts.size_bytes = entry.size_bytes;
  ContentHash hash;
  while (true) {
    ASSIGN_OR_RETURN(const codec::tar::Chunk chunk, reader.read());
    if (chunk.bytes.empty()) break;
    hash.update(chunk.offset, chunk.bytes);
  }
  facts.text = hash.finish();
  put(place, add_node(std::move(facts)));
  return {};
}

Status FileModel::make_hard_link(const Place& place, const Entry& entry) {
  auto clean = clean_path(entry.link_target);
  if (!clean.ok()) return std::move(clean).error().with("hard link to " + quoted(entry.link_target));
  const auto [parent, name] = split_parent(*clean);
  if (name.empty()) return Error(Errc::kPermission, "a hard link cannot lead to the root");
  ASSIGN_OR_RETURN(const auto steps, walk(parent, Missing::kFail, nullptr));
  const auto missing = [&] { return Error(Errc::kCorrupt, "target " + quoted(entry.link_target) + " does not exist"); };
  if (!steps) return missing();
  std::string path;
  for (const Step& step : *steps) path += step.name + "/";
  path += name;
  if (path == place.path) return Error(Errc::kCorrupt, "a hard link to itself");
  if (place.path.starts_with(path + "/")) return Error(Errc::kCorrupt, "a hard link to a directory");
  if (path.starts_with(place.path + "/"))
    return Error(Errc::kCorrupt, "a hard link would replace the directory of its target");
  const Node& dir = nodes_[last(*steps)];
  const auto found = dir.children.find(name);
  if (found == dir.children.end()) return missing();
  const Index target = found->second;
  if (nodes_[target].facts.type == EntryType::kDirectory)
    return Error(Errc::kCorrupt, "target " + quoted(entry.link_target) + " is a directory", EPERM);
  // Another name of the same file may be replaced by this one: it is held meanwhile.
  ++nodes_[target].facts.links;
  put(place, target);
  --nodes_[target].facts.links;
  return {};
}

Status FileModel::apply_whiteout(std::string_view parent, std::string_view name) {
  const std::string_view hidden = name.substr(kWhiteout.size());
  const bool opaque = name == kOpaque;
  if (!opaque && name.starts_with(kWhiteoutMeta)) return {};
  if (hidden.empty() || hidden == "." || hidden == "..") return Error(Errc::kPermission, "whiteout of no file");
  if (!has_lower_) return {};
  ASSIGN_OR_RETURN(const auto steps, walk(parent, Missing::kFail, nullptr));
  if (!steps) return {};
  std::string directory;
  for (const Step& step : *steps) directory = join_path(directory, step.name);
  const Index dir = last(*steps);
  if (opaque) {
    touch(directory);
    make_opaque(dir, directory);
    return {};
  }
  const std::string path = join_path(directory, hidden);
  if (!is_touched(path)) {
    remove(dir, hidden);
    return {};
  }
  const auto found = nodes_[dir].children.find(hidden);
  if (found != nodes_[dir].children.end()) make_opaque(found->second, path);
  return {};
}

// Removes from a directory what this layer did not bring.
void FileModel::make_opaque(Index dir, const std::string& path) {
  std::vector<std::string> names;
  for (const auto& [name, index] : nodes_[dir].children) names.push_back(name);
  for (const std::string& name : names) {
    const std::string child = join_path(path, name);
    if (is_touched(child)) {
      make_opaque(nodes_[dir].children.find(name)->second, child);
    } else {
      remove(dir, name);
    }
  }
}

}  // namespace cooper::image
