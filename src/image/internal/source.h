// Where an image is loaded from: a directory, or a tar archive, seen as files with names.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/fd.h"
#include "codec/stream.h"
#include "io/root_dir.h"

namespace cooper::image {

// A file of the source; `fd` is owned or borrowed from the source, which must outlive it.
struct SourceFile {
  UniqueFd owned = {};
  BorrowedFd fd{-1};
  std::uint64_t offset = 0;
  std::uint64_t size_bytes = 0;
};

// Errc::kCancelled when `cancel` is readable; of one that is not valid nobody asks. See LoadOptions.
Status check_cancelled(BorrowedFd cancel);

// Keeps the file open while a range of it is read.
class FileRange final : public codec::ByteSource {
 public:
  explicit FileRange(SourceFile file, BorrowedFd cancel = BorrowedFd(-1))
      : file_(std::move(file)), range_(file_.fd, file_.offset, file_.size_bytes), cancel_(cancel) {}
  Result<std::size_t> read(std::span<char> buffer) override {
    RETURN_IF_ERROR(check_cancelled(cancel_));
    return range_.read(buffer);
  }

 private:
  SourceFile file_;
  codec::RangeSource range_;
  BorrowedFd cancel_;
};

// What open_input() has opened, or standard input, from its current position. Whoever writes it may let us wait:
// `cancel` ends that. Borrows both.
class StreamSource final : public codec::ByteSource {
 public:
  StreamSource(BorrowedFd fd, BorrowedFd cancel) : fd_(fd), cancel_(cancel) {}
  Result<std::size_t> read(std::span<char> buffer) override;
  std::uint64_t done() const { return done_; }
  // Called with that after each read.
  void show(std::function<void(std::uint64_t done_bytes)> progress) { progress_ = std::move(progress); }

 private:
  BorrowedFd fd_;
  BorrowedFd cancel_;
  std::uint64_t done_ = 0;
  std::function<void(std::uint64_t done_bytes)> progress_;
};

// A file, a directory or a pipe, whose writer is not waited for.
Result<UniqueFd> open_input(const std::string& path);

class Source {
 public:
  virtual ~Source() = default;
  // nullopt when there is no regular file of that name. Links are followed inside the source.
  virtual Result<std::optional<SourceFile>> open(const std::string& path) = 0;

  // The whole file; Errc::kNotFound when missing, Errc::kLimit beyond max_bytes.
  Result<std::string> read(const std::string& path, std::size_t max_bytes);
  Result<bool> has(const std::string& path);
};

class DirectorySource final : public Source {
 public:
  explicit DirectorySource(io::RootDir root) : root_(std::move(root)) {}
  Result<std::optional<SourceFile>> open(const std::string& path) override;

 private:
  io::RootDir root_;
};

// An OCI layout, or what docker and podman save: known by more than one mark, as a root file system may have files of
// any name.
Result<bool> looks_like_image(Source& source);
// What skopeo makes for "dir:", which has a mark of its own.
inline constexpr std::string_view kSkopeoVersionFile = "version";
inline constexpr std::string_view kSkopeoDirMark = "Directory Transport Version";
Result<bool> looks_like_skopeo_dir(Source& source);

// An archive whose members lie uncompressed in one seekable file.
class ArchiveSource final : public Source {
 public:
  using Progress = std::function<void(std::uint64_t done_bytes)>;
  // A plain tar in a seekable file: only its headers are read.
  static Result<std::unique_ptr<ArchiveSource>> index(UniqueFd file, std::uint64_t size_bytes);
  // Any stream, compressed or not: its tar is kept in `spool`, an empty file opened for reading and writing.
  static Result<std::unique_ptr<ArchiveSource>> spool(codec::ByteSource& stream, UniqueFd spool);
  Result<std::optional<SourceFile>> open(const std::string& path) override;
  // A file or a link of this name, also one that leads nowhere. What lies below rootfs/ is no member: that are the
  // files of an ACI.
  bool has_member(std::string_view name) const { return members_.contains(name); }
  // The uncompressed archive, from its first byte to its last.
  BorrowedFd file() const { return file_; }

 private:
  struct Member {
    std::uint64_t offset = 0;
    std::uint64_t size_bytes = 0;
    std::optional<std::string> link = {};  // real path of what it stands for
  };
  explicit ArchiveSource(UniqueFd file) : file_(std::move(file)) {}
  Status read_index(codec::BlockSource& blocks);

  UniqueFd file_;
  std::map<std::string, Member, std::less<>> members_;
};

}  // namespace cooper::image
