#include <algorithm>
#include <map>
#include <set>

#include "base/strings.h"
#include "codec/tar_writer.h"
#include "image/internal/aci.h"
#include "image/internal/file_model.h"
#include "image/internal/layer_path.h"
#include "image/internal/whiteouts.h"
#include "spec/appc/parse.h"

namespace cooper::image {
namespace {

using codec::tar::Entry;
using codec::tar::EntryType;

constexpr std::string_view kManifest = "manifest";
constexpr std::string_view kRootfs = "rootfs";

// The path below rootfs, "" for itself; nullopt for what lies elsewhere.
std::optional<std::string> below_rootfs(std::string_view clean) {
  if (clean == kRootfs) return std::string();
  if (!clean.starts_with(kRootfs) || clean[kRootfs.size()] != '/') return std::nullopt;
  return std::string(clean.substr(kRootfs.size() + 1));
}

// f(reader, entry) for each member.
template <typename F>
Status for_each_entry(const OpenTar& tar, F f) {
  ASSIGN_OR_RETURN(const auto blocks, tar());
  codec::tar::Reader reader(*blocks);
  Entry entry;
  while (true) {
    ASSIGN_OR_RETURN(const bool more, reader.next(entry));
    if (!more) break;
    if (Status done = f(reader, entry); !done.ok())
      return std::move(done).error().with(std::string(to_string(entry.type)) + " " + quoted(entry.path));
  }
  if (!reader.saw_end_mark()) return Error(Errc::kCorrupt, "archive is truncated: it has no end mark");
  // A source that checks its bytes does so at its end.
  while (true) {
    ASSIGN_OR_RETURN(const std::string_view rest, blocks->next());
    if (rest.empty()) return {};
  }
}

class AciCheck {
 public:
  Status add(codec::tar::Reader& reader, const Entry& entry) {
    ASSIGN_OR_RETURN(const std::string path, clean_path(entry.path));
    if (path.empty() && entry.type == EntryType::kDirectory) return {};
    if (path == kManifest) return read_manifest(reader, entry);
    const auto inside = below_rootfs(path);
    if (!inside) return Error(Errc::kCorrupt, "an ACI holds nothing but manifest and rootfs");
    has_rootfs_ = true;
    if (inside->empty() && entry.type != EntryType::kDirectory)
      return Error(Errc::kCorrupt, "rootfs is not a directory");
    if (has_whiteout(*inside))
      return Error(Errc::kUnsupported, "a name that begins with .wh. would hide files, in a layer");
    return entry.type == EntryType::kHardLink ? check_link(entry) : Status();
  }

  Result<std::string> finish() {
    if (!manifest_) return Error(Errc::kCorrupt, "is no ACI: it has no manifest");
    if (!has_rootfs_) return Error(Errc::kCorrupt, "is no ACI: it has no rootfs");
    return std::move(*manifest_);
  }

 private:
  Status read_manifest(codec::tar::Reader& reader, const Entry& entry) {
    if (manifest_) return Error(Errc::kCorrupt, "the manifest is there twice");
    if (entry.type != EntryType::kFile || entry.sparse) return Error(Errc::kCorrupt, "the manifest is no plain file");
    if (entry.size_bytes > appc::kMaxManifestBytes)
      return Error(Errc::kLimit, "the manifest is larger than " + format_bytes(appc::kMaxManifestBytes));
    manifest_.emplace();
    while (true) {
      ASSIGN_OR_RETURN(const auto chunk, reader.read());
      if (chunk.bytes.empty()) return {};
      manifest_->append(chunk.bytes);
    }
  }
  static Status check_link(const Entry& entry) {
    auto target = clean_path(entry.link_target);
    if (!target.ok()) return std::move(target).error().with("hard link to " + quoted(entry.link_target));
    const auto inside = below_rootfs(*target);
    if (inside && !inside->empty()) return {};
    return Error(Errc::kPermission, "a hard link leads out of rootfs, to " + quoted(entry.link_target));
  }

  std::optional<std::string> manifest_;
  bool has_rootfs_ = false;
};

// Path and link target of an entry, as they are in the layer. nullopt: it is not part of it.
Result<std::optional<Entry>> in_layer(const Entry& entry, TarKind kind) {
  ASSIGN_OR_RETURN(std::string path, clean_path(entry.path));
  Entry out = entry;
  if (entry.type == EntryType::kHardLink) {
    ASSIGN_OR_RETURN(out.link_target, clean_path(entry.link_target));
  }
  if (kind == TarKind::kAci) {
    auto inside = below_rootfs(path);
    if (!inside) return std::optional<Entry>();
    path = std::move(*inside);
    if (entry.type == EntryType::kHardLink) out.link_target = below_rootfs(out.link_target).value_or("");
  }
  out.path = std::move(path);
  return std::optional(std::move(out));
}

// Where the data of files go that are left out while hard links to them stay.
class LinkPlan {
 public:
  explicit LinkPlan(const PathFilter& filter) : filter_(filter) {}

  void add(const Entry& entry) {
    if (entry.type != EntryType::kHardLink) {
      if (entry.type != EntryType::kDirectory && !filter_.keeps(entry.path, entry.type)) left_out_.insert(entry.path);
      return;
    }
    const std::string target = resolve(entry.link_target);
    if (!filter_.keeps(entry.path, entry.type)) {
      target_of_[entry.path] = target;
    } else if (left_out_.contains(target)) {
      heirs_.try_emplace(target, entry.path);
    }
  }
  // The file a link left out stands for.
  std::string resolve(const std::string& path) const {
    const auto found = target_of_.find(path);
    return found == target_of_.end() ? path : found->second;
  }
  // The link that becomes the file `path`, which is left out; nullptr: there is none.
  const std::string* heir_of(const std::string& path) const {
    const auto found = heirs_.find(path);
    return found == heirs_.end() ? nullptr : &found->second;
  }

 private:
  const PathFilter& filter_;
  std::set<std::string, std::less<>> left_out_;
  std::map<std::string, std::string, std::less<>> target_of_;
  std::map<std::string, std::string, std::less<>> heirs_;
};

Status copy_data(codec::tar::Reader& reader, codec::tar::Writer& writer) {
  while (true) {
    ASSIGN_OR_RETURN(const auto chunk, reader.read());
    if (chunk.bytes.empty()) return writer.end_data();
    RETURN_IF_ERROR(writer.data(chunk.bytes));
  }
}

// What a path leads to; links count from the root and never leave it. nullopt: nothing.
std::optional<FileModel::Index> follow(const FileModel& model, std::string_view path) {
  constexpr int kMaxLinks = 40;  // as the kernel
  std::vector<std::string> left;
  const auto push = [&left](std::string_view words) {
    const auto parts = split(words, '/');
    left.insert(left.end(), parts.rbegin(), parts.rend());
  };
  push(path);
  std::vector<FileModel::Index> way{FileModel::kRoot};
  int links = 0;
  while (!left.empty()) {
    const std::string name = std::move(left.back());
    left.pop_back();
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      if (way.size() > 1) way.pop_back();
      continue;
    }
    const auto& children = model.node(way.back()).children;
    const auto child = children.find(name);
    if (child == children.end()) return std::nullopt;
    const FileFacts& facts = model.node(child->second).facts;
    if (facts.type != EntryType::kSymlink) {
      way.push_back(child->second);
      continue;
    }
    if (++links > kMaxLinks) return std::nullopt;
    if (facts.text.starts_with('/')) way.resize(1);
    push(facts.text);
  }
  return way.back();
}

// The entry as it is written; nullopt: it is left out.
std::optional<Entry> filtered(Entry entry, const PathFilter& filter, const LinkPlan& links) {
  if (filter.keeps(entry.path, entry.type)) {
    if (entry.type != EntryType::kHardLink) return entry;
    entry.link_target = links.resolve(entry.link_target);
    if (const std::string* heir = links.heir_of(entry.link_target)) {
      if (*heir == entry.path) return std::nullopt;
      entry.link_target = *heir;
    }
    return entry;
  }
  const bool has_links = entry.type != EntryType::kDirectory && entry.type != EntryType::kHardLink;
  const std::string* heir = has_links ? links.heir_of(entry.path) : nullptr;
  if (heir == nullptr) return std::nullopt;
  entry.path = *heir;
  return entry;
}

}  // namespace

OpenTar open_tar_file(BorrowedFd file, std::uint64_t size_bytes) {
  return [file, size_bytes]() -> Result<std::unique_ptr<codec::BlockSource>> {
    return std::unique_ptr<codec::BlockSource>(std::make_unique<codec::FileBlocks>(file, size_bytes));
  };
}

Result<std::string> read_aci_manifest(const OpenTar& tar) {
  AciCheck check;
  RETURN_IF_ERROR(
      for_each_entry(tar, [&](codec::tar::Reader& reader, const Entry& entry) { return check.add(reader, entry); }));
  return check.finish();
}

PathFilter::PathFilter(const std::vector<std::string>& whitelist) : all_(whitelist.empty()) {
  for (const std::string& raw : whitelist) {
    const auto clean = clean_path(raw);
    if (!clean.ok()) continue;  // the manifest's rules have no such path
    for (std::string_view at = split_parent(*clean).first; !at.empty(); at = split_parent(at).first) {
      if (!parents_.emplace(at).second) break;
    }
    paths_.insert(*clean);
  }
}

bool PathFilter::keeps(const std::string& path, EntryType type) const {
  if (all_ || paths_.contains(path)) return true;
  return type == EntryType::kDirectory && (path.empty() || parents_.contains(path));
}

Status write_layer(const OpenTar& tar, TarKind kind, const PathFilter& filter, codec::ByteSink& sink) {
  LinkPlan links(filter);
  if (!filter.keeps_all()) {
    const auto note = [&](codec::tar::Reader&, const Entry& entry) -> Status {
      ASSIGN_OR_RETURN(const auto inside, in_layer(entry, kind));
      if (inside) links.add(*inside);
      return {};
    };
    RETURN_IF_ERROR(for_each_entry(tar, note));
  }
  codec::tar::Writer writer(sink);
  const auto write = [&](codec::tar::Reader& reader, const Entry& entry) -> Status {
    ASSIGN_OR_RETURN(auto inside, in_layer(entry, kind));
    auto kept = inside ? filtered(std::move(*inside), filter, links) : std::nullopt;
    if (!kept) return {};
    if (kept->type == EntryType::kDirectory) kept->path = kept->path.empty() ? "./" : kept->path + "/";
    RETURN_IF_ERROR(writer.begin(*kept));
    return kept->type == EntryType::kFile ? copy_data(reader, writer) : Status();
  };
  RETURN_IF_ERROR(for_each_entry(tar, write));
  return writer.finish();
}

Result<std::optional<Owner>> owner_in(const std::vector<OpenTar>& layers, const std::string& path) {
  FileModel model(FileModel::Of::kLayers);
  for (const OpenTar& layer : layers) {
    ASSIGN_OR_RETURN(const auto blocks, layer());
    RETURN_IF_ERROR(model.apply(*blocks));
  }
  const auto found = follow(model, path);
  if (!found) return std::optional<Owner>();
  const FileFacts& facts = model.node(*found).facts;
  return std::optional(Owner{facts.uid, facts.gid});
}

}  // namespace cooper::image
