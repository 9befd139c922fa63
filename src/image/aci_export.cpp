#include "image/internal/aci_export.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "base/strings.h"
#include "codec/tar_writer.h"
#include "image/internal/aci.h"
#include "image/internal/job.h"
#include "image/internal/load.h"
#include "image/internal/paths.h"
#include "image/internal/plan.h"
#include "image/internal/tree_builder.h"
#include "io/file.h"
#include "spec/appc/print.h"
#include "spec/oci_image/parse.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

using codec::tar::Entry;
using codec::tar::EntryType;
using codec::tar::SparsePart;

constexpr std::size_t kBufferBytes = std::size_t{256} << 10;
constexpr std::size_t kMaxParts = 60'000;  // what readers of archives take, ours among them
constexpr std::uint64_t kBlockBytes = 512;
constexpr std::size_t kMaxDepth = 1000;

class RootfsWriter {
 public:
  explicit RootfsWriter(codec::tar::Writer& writer) : writer_(writer) {}
  Status directory(BorrowedFd dir, const std::string& path, std::size_t depth);

 private:
  Status child(BorrowedFd dir, const std::string& name, const std::string& path, std::size_t depth);
  Status file(BorrowedFd file, Entry& entry, const struct stat& info);
  Status copy(BorrowedFd file, const SparsePart& part);
  static Status add_xattrs(BorrowedFd file, Entry& entry);
  static Result<std::vector<SparsePart>> data_parts(BorrowedFd file, std::uint64_t size_bytes);

  codec::tar::Writer& writer_;
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
  std::vector<char> buffer_ = std::vector<char>(kBufferBytes);
};

Entry entry_of(const std::string& path, const struct stat& info) {
  Entry entry;
  entry.path = path;
  entry.mode = info.st_mode & 07777;
  entry.uid = info.st_uid;
  entry.gid = info.st_gid;
  entry.mtime_s = info.st_mtim.tv_sec;
  entry.mtime_ns = static_cast<std::uint32_t>(info.st_mtim.tv_nsec);
  return entry;
}

Status RootfsWriter::add_xattrs(BorrowedFd file, Entry& entry) {
  ASSIGN_OR_RETURN(auto names, sys::flistxattr(file));
  std::ranges::sort(names);
  for (const std::string& name : names) {
    if (!keeps_xattr(name)) continue;
    ASSIGN_OR_RETURN(std::string value, sys::fgetxattr(file, name));
    entry.xattrs.emplace_back(name, std::move(value));
  }
  return {};
}

// Where a file has data; empty when it has no holes worth it, or too many.
Result<std::vector<SparsePart>> RootfsWriter::data_parts(BorrowedFd file, std::uint64_t size_bytes) {
  std::vector<SparsePart> parts;
  off_t at = 0;
  const auto size = static_cast<off_t>(size_bytes);
  while (at < size) {
    const off_t data = ::lseek(file.get(), at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;
    if (data < 0) return Error::from_errno(errno, "look for data");
    const off_t hole = ::lseek(file.get(), data, SEEK_HOLE);
    if (hole < 0) return Error::from_errno(errno, "look for holes");
    if (parts.size() == kMaxParts || (data == 0 && hole >= size)) return std::vector<SparsePart>();
    parts.push_back({static_cast<std::uint64_t>(data), static_cast<std::uint64_t>(std::min(hole, size) - data)});
    at = hole;
  }
  parts.push_back({size_bytes, 0});
  return parts;
}

Status RootfsWriter::copy(BorrowedFd file, const SparsePart& part) {
  codec::RangeSource source(file, part.offset, part.size);
  while (true) {
    ASSIGN_OR_RETURN(const std::size_t n, source.read(buffer_));
    if (n == 0) return {};
    RETURN_IF_ERROR(writer_.data({buffer_.data(), n}));
  }
}

Status RootfsWriter::file(BorrowedFd file, Entry& entry, const struct stat& info) {
  RETURN_IF_ERROR(add_xattrs(file, entry));
  entry.size_bytes = static_cast<std::uint64_t>(info.st_size);
  if (static_cast<std::uint64_t>(info.st_blocks) * kBlockBytes < entry.size_bytes) {
    ASSIGN_OR_RETURN(auto parts, data_parts(file, entry.size_bytes));
    if (!parts.empty()) entry.sparse = std::move(parts);
  }
  RETURN_IF_ERROR(writer_.begin(entry));
  for (const SparsePart& part : entry.sparse.value_or(std::vector<SparsePart>{{0, entry.size_bytes}}))
    RETURN_IF_ERROR(copy(file, part));
  return writer_.end_data();
}

Status RootfsWriter::child(BorrowedFd dir, const std::string& name, const std::string& path, std::size_t depth) {
  ASSIGN_OR_RETURN(const struct stat info, sys::fstatat(dir, name));
  if (S_ISSOCK(info.st_mode)) return {};
  if (S_ISDIR(info.st_mode)) {
    ASSIGN_OR_RETURN(const UniqueFd inside, sys::openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    return directory(inside, path, depth + 1);
  }
  Entry entry = entry_of(path, info);
  if (info.st_nlink > 1) {
    const auto [first, is_new] = links_.try_emplace({info.st_dev, info.st_ino}, path);
    if (!is_new) {
      entry.type = EntryType::kHardLink;
      entry.link_target = first->second;
      return writer_.begin(entry);
    }
  }
  if (S_ISREG(info.st_mode)) {
    ASSIGN_OR_RETURN(const UniqueFd opened, sys::openat(dir, name, O_RDONLY | O_NOFOLLOW));
    return file(opened, entry, info);
  }
  if (S_ISLNK(info.st_mode)) {
    entry.type = EntryType::kSymlink;
    entry.mode = 0777;
    ASSIGN_OR_RETURN(entry.link_target, sys::readlinkat(dir, name));
  } else if (S_ISFIFO(info.st_mode)) {
    entry.type = EntryType::kFifo;
  } else {
    entry.type = S_ISCHR(info.st_mode) ? EntryType::kCharDevice : EntryType::kBlockDevice;
    entry.device_major = major(info.st_rdev);
    entry.device_minor = minor(info.st_rdev);
  }
  return writer_.begin(entry);
}

Status RootfsWriter::directory(BorrowedFd dir, const std::string& path, std::size_t depth) {
  if (depth > kMaxDepth) return Error(Errc::kLimit, "directories are nested too deep");
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(dir));
  Entry entry = entry_of(path + "/", info);
  entry.type = EntryType::kDirectory;
  RETURN_IF_ERROR(add_xattrs(dir, entry));
  RETURN_IF_ERROR(writer_.begin(entry));
  ASSIGN_OR_RETURN(auto names, sys::list_directory(dir));
  std::ranges::sort(names);
  for (const std::string& name : names) RETURN_IF_ERROR(child(dir, name, path + "/" + name, depth));
  return {};
}

// Counts what is written, and asks at every piece whether to go on.
class CountedSink final : public codec::ByteSink {
 public:
  CountedSink(codec::ByteSink& sink, const ReadStep& step) : sink_(sink), step_(step) {}
  Status write(std::string_view bytes) override {
    RETURN_IF_ERROR(step_(bytes.size()));
    written_ += bytes.size();
    return sink_.write(bytes);
  }
  std::uint64_t written() const { return written_; }

 private:
  codec::ByteSink& sink_;
  const ReadStep& step_;
  std::uint64_t written_ = 0;
};

Result<std::uint64_t> copy_archive(BorrowedFd store, const Image& image, codec::ByteSink& sink,
                                   const SaveSteps& steps) {
  auto info = sys::fstatat(store, blob_path(image.id));
  if (!info.ok()) return std::move(info).error().with("archive");
  const auto size = static_cast<std::uint64_t>(info->st_size);
  ASSIGN_OR_RETURN(CheckedBlob blob, open_stored(store, {image.id, size, "archive"}, steps.counted));
  RETURN_IF_ERROR(codec::copy_exactly(blob, size, sink, "archive"));
  return size;
}

Status write_manifest(const appc::ImageManifest& manifest, codec::tar::Writer& writer) {
  const std::string text = appc::print(manifest);
  codec::MemorySource source(text);
  return writer.file("manifest", text.size(), source);
}

}  // namespace

Status write_rootfs(BorrowedFd rootfs, codec::tar::Writer& writer) {
  return RootfsWriter(writer).directory(rootfs, "rootfs", 0);
}

Result<std::uint64_t> write_aci(BorrowedFd store, const PinnedImage& pinned, codec::ByteSink& sink,
                                const SaveSteps& steps) {
  const Image& image = pinned.image;
  if (image.aci) {
    auto copied = copy_archive(store, image, sink, steps);
    if (!copied.ok()) return reload_hint(std::move(copied).error(), image);
    return copied;
  }
  ASSIGN_OR_RETURN(std::string config_bytes, read_stored_document(store, image.config_digest(), "configuration"));
  ASSIGN_OR_RETURN(const auto config, oci_image::parse_config(std::move(config_bytes), "configuration"));
  // Not the shared tree: nobody may take that away meanwhile, or wait for us.
  ASSIGN_OR_RETURN(const Job job, Job::create(store));
  RETURN_IF_ERROR(sys::mkdirat(job.fd(), "rootfs", 0755));
  ASSIGN_OR_RETURN(const UniqueFd rootfs, sys::openat(job.fd(), "rootfs", O_RDONLY | O_DIRECTORY));
  RETURN_IF_ERROR(unpack_stored_image(store, image, rootfs));
  ASSIGN_OR_RETURN(const ResolvedUser user, resolve_user(rootfs, config.user));
  const std::string name = image.given_names.empty() ? std::string() : image.given_names.front();
  CountedSink counted(sink, steps.only);
  codec::tar::Writer writer(counted);
  RETURN_IF_ERROR(write_manifest(aci_manifest_of(image, config, name, user), writer));
  RETURN_IF_ERROR(write_rootfs(rootfs, writer));
  RETURN_IF_ERROR(writer.finish());
  return counted.written();
}

}  // namespace cooper::image
