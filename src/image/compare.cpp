#include "image/compare.h"

#include <time.h>

#include <array>

#include <fmt/format.h>

#include "base/strings.h"
#include "image/internal/compare.h"

namespace cooper::image {
namespace {

using codec::tar::EntryType;

constexpr std::array<std::string_view, 12> kAspectNames = {"type",   "content",  "size",      "mode",
                                                           "owner",  "modified", "attribute", "target",
                                                           "device", "links",    "linked_to", "unreadable"};
static_assert(kAspectNames.size() == static_cast<std::size_t>(Aspect::kUnreadable) + 1);

std::string mode_text(std::uint32_t mode) {
  return fmt::format("{:04o}", mode);
}

std::string owner_text(const FileFacts& facts) {
  return std::to_string(facts.uid) + ":" + std::to_string(facts.gid);
}

std::string time_text(std::int64_t seconds, std::uint32_t nanoseconds) {
  const time_t time = seconds;
  struct tm utc = {};
  if (::gmtime_r(&time, &utc) == nullptr) return fmt::format("@{}", seconds);
  std::string text = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", utc.tm_year + std::int64_t{1900},
                                 utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
  if (nanoseconds != 0) text += fmt::format(".{:09}", nanoseconds);
  return text + "Z";
}

std::string device_text(const FileFacts& facts) {
  return std::to_string(facts.device_major) + ":" + std::to_string(facts.device_minor);
}

void compare_xattrs(const FileFacts& before, const FileFacts& after, std::vector<AspectChange>& out) {
  const std::map<std::string, std::string> old(before.xattrs.begin(), before.xattrs.end());
  const std::map<std::string, std::string> now(after.xattrs.begin(), after.xattrs.end());
  for (const auto& [name, value] : old) {
    const auto found = now.find(name);
    if (found == now.end()) {
      out.push_back({Aspect::kAttribute, hex_encode(value), std::nullopt, name});
    } else if (found->second != value) {
      out.push_back({Aspect::kAttribute, hex_encode(value), hex_encode(found->second), name});
    }
  }
  for (const auto& [name, value] : now) {
    if (!old.contains(name)) out.push_back({Aspect::kAttribute, std::nullopt, hex_encode(value), name});
  }
}

class ModelDiff {
 public:
  ModelDiff(const FileModel& before, const FileModel& after) : before_(before), after_(after) {}

  std::vector<PathChange> run() {
    compare_node("", FileModel::kRoot, FileModel::kRoot);
    return std::move(changes_);
  }

 private:
  using Kind = PathChange::Kind;

  void one_sided(const std::string& path, const FileModel& model, FileModel::Index index, Kind kind) {
    const FileModel::Node& node = model.node(index);
    changes_.push_back({.kind = kind, .path = path, .type = codec::tar::to_string(node.facts.type)});
    for (const auto& [name, child] : node.children) one_sided(path + "/" + name, model, child, kind);
  }

  void compare_node(const std::string& path, FileModel::Index before, FileModel::Index after) {
    const FileModel::Node& old = before_.node(before);
    const FileModel::Node& now = after_.node(after);
    std::vector<AspectChange> aspects = changes_between(old.facts, now.facts);
    const bool directories = old.facts.type == EntryType::kDirectory && now.facts.type == EntryType::kDirectory;
    if (directories) std::erase_if(aspects, [](const AspectChange& one) { return one.aspect == Aspect::kModified; });
    links_.compare(path, {before, old.facts.links}, {after, now.facts.links}, aspects);
    if (!aspects.empty()) {
      changes_.push_back({.kind = Kind::kChanged,
                          .path = path.empty() ? "/" : path,
                          .type = codec::tar::to_string(now.facts.type),
                          .aspects = std::move(aspects)});
    }
    auto a = old.children.begin();
    auto b = now.children.begin();
    while (a != old.children.end() || b != now.children.end()) {
      if (b == now.children.end() || (a != old.children.end() && a->first < b->first)) {
        one_sided(path + "/" + a->first, before_, a->second, Kind::kRemoved);
        ++a;
      } else if (a == old.children.end() || b->first < a->first) {
        one_sided(path + "/" + b->first, after_, b->second, Kind::kAdded);
        ++b;
      } else {
        compare_node(path + "/" + a->first, a->second, b->second);
        ++a;
        ++b;
      }
    }
  }

  const FileModel& before_;
  const FileModel& after_;
  LinkGroups<FileModel::Index, FileModel::Index> links_;
  std::vector<PathChange> changes_;
};

}  // namespace

std::string_view to_string(Aspect aspect) {
  return kAspectNames[static_cast<std::size_t>(aspect)];
}

std::vector<AspectChange> changes_between(const FileFacts& before, const FileFacts& after) {
  std::vector<AspectChange> out;
  const bool same_type = before.type == after.type;
  if (!same_type) {
    out.push_back({Aspect::kType, std::string(codec::tar::to_string(before.type)),
                   std::string(codec::tar::to_string(after.type))});
  }
  if (same_type && before.type == EntryType::kFile) {
    if (before.size_bytes != after.size_bytes || before.text != after.text) out.push_back({Aspect::kContent});
    if (before.size_bytes != after.size_bytes)
      out.push_back({Aspect::kSize, std::to_string(before.size_bytes), std::to_string(after.size_bytes)});
  }
  if (same_type && before.type == EntryType::kSymlink && before.text != after.text)
    out.push_back({Aspect::kTarget, before.text, after.text});
  if (same_type && device_text(before) != device_text(after))
    out.push_back({Aspect::kDevice, device_text(before), device_text(after)});
  if (before.mode != after.mode && same_type)
    out.push_back({Aspect::kMode, mode_text(before.mode), mode_text(after.mode)});
  if (before.uid != after.uid || before.gid != after.gid)
    out.push_back({Aspect::kOwner, owner_text(before), owner_text(after)});
  if (before.mtime_s != after.mtime_s || before.mtime_ns != after.mtime_ns) {
    out.push_back(
        {Aspect::kModified, time_text(before.mtime_s, before.mtime_ns), time_text(after.mtime_s, after.mtime_ns)});
  }
  compare_xattrs(before, after, out);
  return out;
}

std::vector<PathChange> compare_models(const FileModel& before, const FileModel& after) {
  return ModelDiff(before, after).run();
}

}  // namespace cooper::image
