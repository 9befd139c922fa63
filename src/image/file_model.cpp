#include "image/internal/file_model.h"

#include <unistd.h>

#include "base/strings.h"
#include "image/internal/content_hash.h"
#include "image/internal/layer_walk.h"
#include "image/internal/tree_builder.h"
#include "userns/enter.h"

namespace cooper::image {
namespace {

using codec::tar::EntryType;

constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 30;
constexpr std::uint64_t kNodeBytes = 400;  // with its name

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

std::uint64_t memory_of(const FileFacts& facts) {
  std::uint64_t total = facts.text.size();
  for (const auto& [name, value] : facts.xattrs) total += name.size() + value.size();
  return total;
}

}  // namespace

FileModel::FileModel(Of what)
    : what_(what), euid_(what == Of::kTree ? ::geteuid() : 0), egid_(what == Of::kTree ? ::getegid() : 0) {
  nodes_.push_back({.facts = {.uid = euid_, .gid = egid_}});
}

Status FileModel::apply(codec::BlockSource& tar) {
  LayerWalk<FileModel> walk(*this, rules_);
  RETURN_IF_ERROR(walk.apply(tar));
  entries_ += walk.entries();
  rules_.has_lower = true;
  return {};
}

std::optional<FileModel::Index> FileModel::child(Dir dir, std::string_view name) const {
  const Children& children = nodes_[dir].children;
  const auto found = children.find(name);
  return found == children.end() ? std::nullopt : std::optional(found->second);
}

FileModel::Index FileModel::add_child(Dir dir, const std::string& name, FileFacts facts) {
  bytes_ += kNodeBytes + memory_of(facts);
  const Index index = nodes_.size();
  nodes_.push_back({.facts = std::move(facts)});
  nodes_[dir].children.emplace(name, index);
  return index;
}

void FileModel::set_facts(Index index, const Entry& entry) {
  nodes_[index].facts = facts_of(entry);
  bytes_ += memory_of(nodes_[index].facts);
}

Result<Found<FileModel::Index>> FileModel::find(Dir dir, const std::string& name) const {
  const auto index = child(dir, name);
  if (!index) return Found<Index>{};
  const FileFacts& facts = nodes_[*index].facts;
  if (facts.type == EntryType::kDirectory) return Found<Index>{.kind = FoundKind::kDirectory, .directory = *index};
  if (facts.type == EntryType::kSymlink) return Found<Index>{.kind = FoundKind::kLink, .target = facts.text};
  return Found<Index>{.kind = FoundKind::kOther};
}

Result<FileModel::Index> FileModel::make_missing(Dir dir, const std::string& name, const std::string& /*path*/,
                                                 const Entry& made_for) {
  return add_child(dir, name, {.uid = euid_, .gid = egid_, .mtime_s = made_for.mtime_s, .mtime_ns = made_for.mtime_ns});
}

Result<FileModel::Index> FileModel::create(const Place& place, const Entry& entry) {
  if (child(place.dir, place.name)) return Error::from_errno(EEXIST, place.name);
  if (entry.type == EntryType::kDirectory) return add_child(place.dir, place.name, {});
  FileFacts facts = facts_of(entry);
  facts.links = 1;
  return add_child(place.dir, place.name, std::move(facts));
}

Status FileModel::fill(Made made, codec::tar::Reader& reader, const Place& /*place*/, const Entry& entry) {
  if (entry.type != EntryType::kFile) return {};
  ContentHash hash;
  while (true) {
    ASSIGN_OR_RETURN(const codec::tar::Chunk chunk, reader.read());
    if (chunk.bytes.empty()) break;
    hash.update(chunk.offset, chunk.bytes);
  }
  FileFacts& facts = nodes_[made].facts;
  facts.size_bytes = entry.size_bytes;
  facts.text = hash.finish();
  bytes_ += facts.text.size();
  return {};
}

void FileModel::set_directory(const Place& place, const Entry& entry) {
  if (const auto index = child(place.dir, place.name)) set_facts(*index, entry);
}

Status FileModel::link(Dir dir, const std::string& target, const Place& place) {
  const auto index = child(dir, target);
  if (!index) return Error::from_errno(ENOENT, target);
  if (child(place.dir, place.name)) return Error::from_errno(EEXIST, place.name);
  FileFacts& facts = nodes_[*index].facts;
  if (facts.type == EntryType::kDirectory) return Error::from_errno(EPERM, target);
  nodes_[place.dir].children.emplace(place.name, *index);
  ++facts.links;
  return {};
}

Result<bool> FileModel::remove(Dir dir, const std::string& name, const std::string& /*path*/) {
  const auto index = child(dir, name);
  if (!index) return false;
  const bool directory = nodes_[*index].facts.type == EntryType::kDirectory;
  nodes_[dir].children.erase(name);
  std::vector<Index> gone = {*index};
  while (!gone.empty()) {
    Node& node = nodes_[gone.back()];
    gone.pop_back();
    if (node.facts.links > 1) {
      --node.facts.links;
      continue;
    }
    for (const auto& [child_name, child_index] : node.children) gone.push_back(child_index);
    node = Node();  // its memory, not its number
  }
  return directory;
}

Result<std::vector<std::string>> FileModel::names(Dir dir) const {
  std::vector<std::string> out;
  for (const auto& [name, index] : nodes_[dir].children) out.push_back(name);
  return out;
}

bool FileModel::leaves_out_devices() const {
  return what_ == Of::kTree && userns::is_inside();
}

Status FileModel::check_limits(std::uint64_t walk_bytes) const {
  if (bytes_ + walk_bytes <= kMaxBytes) return {};
  return Error(Errc::kLimit, "the files of the image take more than " + format_bytes(kMaxBytes) + " to compare");
}

}  // namespace cooper::image
