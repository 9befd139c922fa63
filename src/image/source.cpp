#include "image/internal/source.h"

#include <fcntl.h>
#include <poll.h>

#include "base/strings.h"
#include "codec/compression.h"
#include "codec/tar.h"
#include "image/internal/layer_path.h"
#include "io/file.h"
#include "io/regular.h"
#include "spec/oci_image/parse.h"
#include "sys/file.h"
#include "sys/retry.h"

namespace cooper::image {
namespace {

constexpr std::size_t kMaxMembers = 200'000;
constexpr std::uint64_t kMaxMemberNameBytes = std::uint64_t{16} << 20;  // kept in memory
constexpr int kMaxLinks = 8;
constexpr const char* kImageHint =
    "give what cooper image save, docker save or podman save has written, or an ACI; a packed root file system is for "
    "cooper image import";
constexpr std::string_view kAciFiles = "rootfs/";

// Copies everything that passes into a file.
class TeeBlocks final : public codec::BlockSource {
 public:
  TeeBlocks(codec::ByteSource& source, BorrowedFd copy) : blocks_(source, std::size_t{512} << 10), copy_(copy) {}
  Result<std::string_view> next() override {
    ASSIGN_OR_RETURN(const std::string_view block, blocks_.next());
    RETURN_IF_ERROR(sys::write_all(copy_, block));
    return block;
  }

 private:
  codec::BufferedBlocks blocks_;
  BorrowedFd copy_;
};

// Where a link at `path` leads, as a clean path; nullopt when out of the archive.
std::optional<std::string> link_path(const std::string& path, const codec::tar::Entry& entry) {
  std::string target = entry.link_target;
  if (entry.type == codec::tar::EntryType::kSymlink && !target.starts_with('/')) {
    target = std::string(split_parent(path).first) + "/" + target;
  }
  auto clean = clean_path(target);
  if (!clean.ok()) return std::nullopt;
  return std::move(*clean);
}

Error cancelled() {
  return Error(Errc::kCancelled, "reading was cancelled", ECANCELED);
}

}  // namespace

Status check_cancelled(BorrowedFd cancel) {
  if (cancel.get() < 0) return {};
  struct pollfd entry = {cancel.get(), POLLIN, 0};
  if (::poll(&entry, 1, 0) > 0) return cancelled();
  return {};
}

Result<std::size_t> StreamSource::read(std::span<char> buffer) {
  while (true) {
    struct pollfd entries[] = {{cancel_.get(), POLLIN, 0}, {fd_.get(), POLLIN, 0}};
    if (sys::retry([&] { return ::poll(entries, 2, -1); }) < 0) return Error::from_errno(errno, "wait for input");
    if (entries[0].revents != 0) return cancelled();
    auto n = sys::read(fd_, buffer);
    if (!n.ok() && n.error().errno_value() == EAGAIN) continue;
    if (n.ok()) done_ += *n;
    if (n.ok() && progress_) progress_(done_);
    return n;
  }
}

Result<UniqueFd> open_input(const std::string& path) {
  return sys::openat(sys::kCwd, path, O_RDONLY | O_NOCTTY | O_NONBLOCK);
}

Result<std::string> Source::read(const std::string& path, std::size_t max_bytes) {
  ASSIGN_OR_RETURN(const auto file, open(path));
  if (!file) return Error(Errc::kNotFound, "file " + quoted(path) + " is missing", ENOENT);
  if (file->size_bytes > max_bytes) {
    return Error(Errc::kLimit, quoted(path) + " is larger than " + format_bytes(max_bytes));
  }
  codec::RangeSource range(file->fd, file->offset, file->size_bytes);
  std::string text(static_cast<std::size_t>(file->size_bytes), '\0');
  ASSIGN_OR_RETURN(const std::size_t n, codec::read_full(range, text));
  text.resize(n);
  return text;
}

Result<bool> Source::has(const std::string& path) {
  ASSIGN_OR_RETURN(const auto file, open(path));
  return file.has_value();
}

Result<bool> looks_like_image(Source& source) {
  const auto has_file = [&](const std::string& path) -> Result<bool> {
    auto found = source.has(path);
    // A directory or a device of that name, or a link that leads nowhere.
    if (!found.ok()) return false;
    return found;
  };
  ASSIGN_OR_RETURN(const bool marked, has_file("oci-layout"));
  ASSIGN_OR_RETURN(const bool indexed, has_file("index.json"));
  if (marked && indexed) return true;
  ASSIGN_OR_RETURN(const bool listed, has_file("manifest.json"));
  if (!listed) return false;
  auto text = source.read("manifest.json", oci_image::kMaxDocumentBytes);
  return text.ok() && oci_image::parse_docker_archive_manifest(std::move(*text), "manifest.json").ok();
}

Result<bool> looks_like_skopeo_dir(Source& source) {
  ASSIGN_OR_RETURN(const bool listed, source.has("manifest.json"));
  if (!listed) return false;
  const auto version = source.read(std::string(kSkopeoVersionFile), 256);
  return version.ok() && version->starts_with(kSkopeoDirMark);
}

Result<std::optional<SourceFile>> DirectorySource::open(const std::string& path) {
  auto fd = io::open_regular(root_, path);
  if (!fd.ok()) {
    if (fd.error().errno_value() == ENOENT || fd.error().errno_value() == ENOTDIR) return std::optional<SourceFile>();
    return std::move(fd).error();
  }
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(*fd));
  const BorrowedFd borrowed = fd->borrow();
  return std::optional(SourceFile{std::move(*fd), borrowed, 0, static_cast<std::uint64_t>(info.st_size)});
}

Status ArchiveSource::read_index(codec::BlockSource& blocks) {
  codec::tar::Reader reader(blocks);
  codec::tar::Entry entry;
  bool first = true;
  std::uint64_t name_bytes = 0;
  while (true) {
    auto more = reader.next(entry);
    // Not what the decompressor says: that is about a broken archive.
    if (!more.ok() && first && more.error().message().starts_with("tar: "))
      return Error(Errc::kCorrupt, "is neither a tar archive nor a compressed one").with_hint(kImageHint);
    if (!more.ok()) return std::move(more).error();
    if (!*more) break;
    first = false;
    auto clean = clean_path(entry.path);
    if (!clean.ok()) return std::move(clean).error().with("member " + quoted(entry.path));
    if (clean->starts_with(kAciFiles)) continue;
    if (members_.size() == kMaxMembers)
      return Error(Errc::kLimit, "archive has more than " + std::to_string(kMaxMembers) + " members");
    name_bytes += clean->size() + entry.link_target.size();
    if (name_bytes > kMaxMemberNameBytes)
      return Error(Errc::kLimit, "names of its members take more than " + format_bytes(kMaxMemberNameBytes));
    if (entry.type == codec::tar::EntryType::kFile && !entry.sparse) {
      members_[*clean] = {.offset = reader.position(), .size_bytes = entry.size_bytes};
    } else if (entry.type == codec::tar::EntryType::kSymlink || entry.type == codec::tar::EntryType::kHardLink) {
      members_[*clean] = {.link = link_path(*clean, entry).value_or("")};
    }
  }
  if (first && !reader.saw_end_mark())
    return Error(Errc::kCorrupt, "is neither a tar archive nor a compressed one: it is empty").with_hint(kImageHint);
  if (!reader.saw_end_mark()) return Error(Errc::kCorrupt, "archive is truncated: it has no end mark");
  return {};
}

Result<std::unique_ptr<ArchiveSource>> ArchiveSource::index(UniqueFd file, std::uint64_t size_bytes) {
  std::unique_ptr<ArchiveSource> source(new ArchiveSource(std::move(file)));  // ban-ok(new): private constructor
  codec::FileBlocks blocks(source->file_, size_bytes, 4096);
  RETURN_IF_ERROR(source->read_index(blocks));
  return source;
}

Result<std::unique_ptr<ArchiveSource>> ArchiveSource::spool(codec::ByteSource& stream, UniqueFd spool) {
  std::unique_ptr<ArchiveSource> source(new ArchiveSource(std::move(spool)));  // ban-ok(new): private constructor
  ASSIGN_OR_RETURN(const auto plain, codec::Decompressor::create(stream, codec::Accept::kArchives));
  TeeBlocks blocks(*plain, source->file_);
  RETURN_IF_ERROR(source->read_index(blocks));
  // What pads the archive belongs to it, and what was compressed is only checked at its end.
  while (true) {
    ASSIGN_OR_RETURN(const std::string_view rest, blocks.next());
    if (rest.empty()) return source;
  }
}

Result<std::optional<SourceFile>> ArchiveSource::open(const std::string& path) {
  auto clean = clean_path(path);
  if (!clean.ok()) return std::optional<SourceFile>();
  std::string at = std::move(*clean);
  for (int hop = 0; hop <= kMaxLinks; ++hop) {
    const auto found = members_.find(at);
    if (found == members_.end()) return std::optional<SourceFile>();
    if (!found->second.link) {
      return std::optional(SourceFile{{}, file_.borrow(), found->second.offset, found->second.size_bytes});
    }
    at = *found->second.link;
  }
  return Error(Errc::kCorrupt, "links of " + quoted(path) + " go in circles");
}

}  // namespace cooper::image
