#include "image/file_image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "image/internal/file_formats.h"
#include "image/internal/sif.h"
#include "image/internal/test_fixture.h"

namespace cooper::image {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

template <typename T>
void put(std::string& bytes, std::size_t at, T number) {
  for (std::size_t i = 0; i < sizeof(T); ++i) bytes[at + i] = static_cast<char>(number >> (8 * i));
}

std::string make_squashfs(std::uint64_t size = 4096) {
  std::string out(size, '\0');
  out.replace(0, 4, "hsqs");
  put<std::uint16_t>(out, 28, 4);
  put<std::uint64_t>(out, 40, size - 100);
  return out;
}

std::string make_erofs() {
  std::string out(8192, '\0');
  put<std::uint32_t>(out, 1024, 0xE0F5E1E2);
  out[1024 + 12] = 12;
  put<std::uint32_t>(out, 1024 + 36, 2);
  return out;
}

struct Entry {
  std::uint32_t type = 0x4004;
  std::uint64_t offset = 0, size = 0;
  std::uint32_t fstype = 1, part = 2;
  std::string arch = "02";
};

// Header, then the table at 4096, then the data that `entries` point to.
std::string make_sif(const std::vector<Entry>& entries, std::uint64_t file_size = 40960) {
  std::string out(file_size, '\0');
  out.replace(0, 31, "#!/usr/bin/env run-singularity\n");
  out.replace(32, 9, "SIF_MAGIC");
  out.replace(42, 2, "01");
  out.replace(45, 2, "02");
  put<std::uint64_t>(out, 88, entries.size());
  put<std::uint64_t>(out, 96, 4096);
  put<std::uint64_t>(out, 104, entries.size() * sif::kDescriptorBytes);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::size_t at = 4096 + i * sif::kDescriptorBytes;
    put<std::uint32_t>(out, at, entries[i].type);
    out[at + 4] = 1;
    put<std::uint64_t>(out, at + 17, entries[i].offset);
    put<std::uint64_t>(out, at + 25, entries[i].size);
    put<std::uint32_t>(out, at + 201, entries[i].fstype);
    put<std::uint32_t>(out, at + 205, entries[i].part);
    out.replace(at + 209, entries[i].arch.size(), entries[i].arch);
  }
  return out;
}

Result<sif::Partition> read_sif(const std::string& file) {
  ASSIGN_OR_RETURN(const sif::Header header, sif::parse_header(file.substr(0, sif::kHeaderBytes), file.size()));
  return sif::find_system(std::string_view(file).substr(header.table_offset, header.table_bytes()), header,
                          file.size());
}

Errc error_of(const std::string& file) {
  const auto read = read_sif(file);
  return read.ok() ? Errc::kInternal : read.error().code();
}

const Entry kRoot{.offset = 36864, .size = 4096};

TEST(Sif, PrimarySystemPartition) {
  const auto root = read_sif(make_sif({{.type = 0x4001, .offset = 32768, .size = 100},
                                       {.offset = 33000, .size = 10, .part = 4},
                                       {.offset = 36864, .size = 4096, .arch = "04"}}));
  ASSERT_TRUE(root.ok()) << root.error().message();
  EXPECT_EQ(root->offset, 36864U);
  EXPECT_EQ(root->size, 4096U);
  EXPECT_EQ(root->architecture, "arm64");
  EXPECT_EQ(read_sif(make_sif({{.offset = 36864, .size = 4096, .arch = "00"}}))->architecture, "amd64");
}

TEST(Sif, UnusedDescriptorsDoNotCount) {
  std::string file = make_sif({{.offset = ~0ULL, .size = ~0ULL}, kRoot});
  file[4096 + 4] = 0;
  EXPECT_TRUE(read_sif(file).ok());
}

TEST(Sif, RefusesWhatDoesNotFit) {
  EXPECT_EQ(error_of(std::string(4096, 'x')), Errc::kCorrupt);
  EXPECT_EQ(error_of(make_sif({kRoot}).substr(0, 100)), Errc::kCorrupt);
  EXPECT_EQ(error_of(make_sif({{.offset = 36864, .size = 4097}})), Errc::kCorrupt) << "beyond the end";
  EXPECT_EQ(error_of(make_sif({{.offset = 0, .size = 4096}})), Errc::kCorrupt) << "over the header";
  EXPECT_EQ(error_of(make_sif({{.offset = 4000, .size = 4096}})), Errc::kCorrupt) << "over the table";
  EXPECT_EQ(error_of(make_sif({{.offset = 36864, .size = ~0ULL}})), Errc::kCorrupt) << "a sum that overflows";
  EXPECT_EQ(error_of(make_sif({{.offset = ~0ULL - 10, .size = 4096}})), Errc::kCorrupt);
  EXPECT_EQ(error_of(make_sif({kRoot, {.type = 0x4001, .offset = 40000, .size = 10}})), Errc::kCorrupt) << "overlap";
  EXPECT_EQ(error_of(make_sif({{.offset = 32768, .size = 4096}, kRoot})), Errc::kCorrupt) << "two roots";
}

TEST(Sif, RefusesBadTables) {
  const auto with = [](std::size_t at, std::uint64_t number) {
    std::string file = make_sif({kRoot});
    put(file, at, number);
    return sif::parse_header(file.substr(0, sif::kHeaderBytes), file.size());
  };
  EXPECT_EQ(with(88, sif::kMaxDescriptors + 1).error().code(), Errc::kLimit);
  EXPECT_EQ(with(88, ~0ULL).error().code(), Errc::kLimit);
  EXPECT_EQ(with(88, 2).error().code(), Errc::kCorrupt) << "more than the table holds";
  EXPECT_EQ(with(96, 10).error().code(), Errc::kCorrupt);
  EXPECT_EQ(with(96, 40960).error().code(), Errc::kCorrupt);
  EXPECT_EQ(with(96, ~0ULL).error().code(), Errc::kCorrupt);
  std::string newer = make_sif({kRoot});
  newer.replace(42, 2, "02");
  EXPECT_EQ(error_of(newer), Errc::kUnsupported);
}

TEST(Sif, RefusesOtherRoots) {
  const auto message = [](const Entry& entry) { return read_sif(make_sif({entry})).error().message(); };
  EXPECT_THAT(message({.offset = 36864, .size = 4096, .fstype = 2}), HasSubstr("'ext3'"));
  EXPECT_THAT(message({.offset = 36864, .size = 4096, .fstype = 5}), HasSubstr("encrypted"));
  EXPECT_THAT(message({.offset = 36864, .size = 4096, .fstype = 77}), HasSubstr("unknown"));
  EXPECT_THAT(message({.offset = 36864, .size = 4096, .part = 1}), HasSubstr("no primary system partition"));
  EXPECT_THAT(message({.type = 0x400a, .offset = 36864, .size = 4096}), HasSubstr("OCI-SIF"));
}

TEST(FindFilesystem, KnowsThem) {
  EXPECT_EQ((*find_filesystem(make_squashfs(), 4096))->fstype, "squashfs");
  EXPECT_EQ((*find_filesystem(make_erofs().substr(0, kFormatBytes), 8192))->fstype, "erofs");
  EXPECT_FALSE(find_filesystem(std::string(kFormatBytes, 'x'), 8192)->has_value());
  EXPECT_FALSE(find_filesystem("hsqs", 4)->has_value());
  EXPECT_FALSE(find_filesystem("", 0)->has_value());
}

TEST(FindFilesystem, RefusesWhatIsCutOff) {
  EXPECT_EQ(find_filesystem(make_squashfs(), 3000).error().code(), Errc::kCorrupt);
  EXPECT_EQ(find_filesystem(make_erofs(), 8191).error().code(), Errc::kCorrupt);
  std::string file = make_squashfs();
  put<std::uint64_t>(file, 40, 95);
  EXPECT_EQ(find_filesystem(file, 4096).error().code(), Errc::kCorrupt);
  put<std::uint16_t>(file, 28, 3);
  EXPECT_EQ(find_filesystem(file, 4096).error().code(), Errc::kUnsupported);
  file = make_erofs();
  file[1024 + 12] = 64;
  EXPECT_EQ(find_filesystem(file, 8192).error().code(), Errc::kCorrupt);
}

TEST(FileImage, Names) {
  for (const char* path : {"/a", "./a", "../a.sif", "/"}) EXPECT_TRUE(names_file(path)) << path;
  for (const char* name : {"a", "a/b", ".a", "localhost/x", "", "..."}) EXPECT_FALSE(names_file(name)) << name;
}

class FileImageTest : public ::testing::Test {
 protected:
  Result<FileImage> open(const std::string& bytes) const {
    write_test_file(scratch_ / "image", bytes);
    return open_file_image(scratch_ / "image");
  }
  ScratchDir scratch_;
};

TEST_F(FileImageTest, Sif) {
  std::string bytes = make_sif({kRoot});
  bytes.replace(36864, 4096, make_squashfs());
  const auto image = open(bytes);
  ASSERT_TRUE(image.ok()) << image.error().message();
  EXPECT_EQ(image->filesystem.fstype, "squashfs");
  EXPECT_EQ(image->filesystem.file, scratch_ / "image");
  EXPECT_EQ(image->filesystem.offset, 36864U);
  EXPECT_EQ(image->filesystem.size, 4096U);
  EXPECT_EQ(image->filesystem.file_size, 40960U);
  EXPECT_TRUE(image->filesystem.untrusted);
  EXPECT_EQ(image->platform.architecture, "amd64");
}

TEST_F(FileImageTest, Squashfs) {
  const auto image = open(make_squashfs());
  ASSERT_TRUE(image.ok()) << image.error().message();
  EXPECT_EQ(image->filesystem.offset, 0U);
  EXPECT_TRUE(image->platform.architecture.empty());
}

TEST_F(FileImageTest, Refusals) {
  EXPECT_EQ(open("text").error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(open("").error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(open(make_sif({kRoot})).error().code(), Errc::kCorrupt) << "no squashfs where it should be";
  EXPECT_EQ(open_file_image(scratch_.path()).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(open_file_image(scratch_ / "none").error().code(), Errc::kNotFound);
  // Does not wait for a writer.
  ASSERT_EQ(::mkfifo((scratch_ / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(open_file_image(scratch_ / "pipe").error().code(), Errc::kInvalidArgument);
}

TEST_F(FileImageTest, ProgramsOfTheImage) {
  const auto entrypoint = [&](bool has_command) {
    const UniqueFd root = std::move(*sys::openat(sys::kCwd, scratch_.path(), O_PATH | O_DIRECTORY));
    return file_image_config({}, root, has_command)->entrypoint;
  };
  const auto program = [&](const std::string& path) {
    write_test_file(scratch_ / path, "#!/bin/sh\n");
    ASSERT_EQ(::chmod((scratch_ / path).c_str(), 0755), 0);
  };
  EXPECT_THAT(entrypoint(false), IsEmpty());
  EXPECT_THAT(entrypoint(true), IsEmpty());
  write_test_file(scratch_ / ".singularity.d/runscript", "not to be executed");
  EXPECT_THAT(entrypoint(false), IsEmpty());
  program(".singularity.d/runscript");
  EXPECT_THAT(entrypoint(false), ElementsAre("/.singularity.d/runscript"));
  EXPECT_THAT(entrypoint(true), IsEmpty());
  program(".singularity.d/actions/run");
  program(".singularity.d/actions/exec");
  EXPECT_THAT(entrypoint(false), ElementsAre("/.singularity.d/actions/run"));
  EXPECT_THAT(entrypoint(true), ElementsAre("/.singularity.d/actions/exec"));
}

}  // namespace
}  // namespace cooper::image
