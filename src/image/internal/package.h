// What files of a saved image are written into: a tar archive or a directory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "codec/stream.h"
#include "codec/tar_writer.h"

namespace cooper::image {

class Package {
 public:
  virtual ~Package() = default;
  virtual Status add_directory(const std::string& path) = 0;
  // Errc::kCorrupt when the source has not exactly `size_bytes`.
  virtual Status add_file(const std::string& path, std::uint64_t size_bytes, codec::ByteSource& source) = 0;
  // Nothing may follow.
  virtual Status finish() = 0;
  virtual std::uint64_t written() const = 0;

  Status add_text(const std::string& path, std::string_view text);
};

class ArchivePackage final : public Package {
 public:
  // `sink` must outlive the package.
  explicit ArchivePackage(codec::ByteSink& sink) : tar_(sink) {}
  Status add_directory(const std::string& path) override { return tar_.directory(path); }
  Status add_file(const std::string& path, std::uint64_t size_bytes, codec::ByteSource& source) override {
    return tar_.file(path, size_bytes, source);
  }
  Status finish() override { return tar_.finish(); }
  std::uint64_t written() const override { return tar_.written(); }

 private:
  codec::tar::Writer tar_;
};

class DirectoryPackage final : public Package {
 public:
  // An empty directory, which must outlive the package.
  explicit DirectoryPackage(BorrowedFd directory) : directory_(directory) {}
  Status add_directory(const std::string& path) override;
  Status add_file(const std::string& path, std::uint64_t size_bytes, codec::ByteSource& source) override;
  Status finish() override { return {}; }
  std::uint64_t written() const override { return written_; }

 private:
  BorrowedFd directory_;
  std::uint64_t written_ = 0;
};

}  // namespace cooper::image
