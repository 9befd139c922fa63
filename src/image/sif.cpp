#include "image/internal/sif.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "image/internal/little_endian.h"

namespace cooper::image::sif {
namespace {

// Offsets in the header.
constexpr std::size_t kMagicAt = 32;
constexpr std::size_t kVersionAt = 42;
constexpr std::size_t kArchitectureAt = 45;
constexpr std::size_t kTotalAt = 88;
constexpr std::size_t kTableAt = 96;
constexpr std::size_t kTableSizeAt = 104;
constexpr std::string_view kMagic("SIF_MAGIC\0", 10);
constexpr std::string_view kVersion("01\0", 3);

// Offsets in a descriptor.
constexpr std::size_t kUsedAt = 4;
constexpr std::size_t kDataAt = 17;
constexpr std::size_t kDataSizeAt = 25;
constexpr std::size_t kFileSystemAt = 201;
constexpr std::size_t kPartitionTypeAt = 205;
constexpr std::size_t kPartitionArchitectureAt = 209;

constexpr std::uint32_t kPartition = 0x4004;
constexpr std::uint32_t kOciRootIndex = 0x400a;
constexpr std::uint32_t kPrimarySystem = 2;
constexpr std::uint32_t kSquashfs = 1;

constexpr std::array<std::string_view, 6> kFileSystems = {"unknown", "squashfs", "ext3",
                                                          "archive", "raw",      "encrypted squashfs"};
constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kArchitectures = {{
    {"01", "386"},
    {"02", "amd64"},
    {"03", "arm"},
    {"04", "arm64"},
    {"05", "ppc64"},
    {"06", "ppc64le"},
    {"07", "mips"},
    {"08", "mipsle"},
    {"09", "mips64"},
    {"10", "mips64le"},
    {"11", "s390x"},
    {"12", "riscv64"},
}};

std::string architecture_word(std::string_view code) {
  for (const auto& [number, word] : kArchitectures) {
    if (code.substr(0, 2) == number) return std::string(word);
  }
  return {};
}

struct Range {
  std::uint64_t offset = 0, size = 0;
  std::uint64_t end() const { return offset + size; }
  bool overlaps(const Range& other) const { return offset < other.end() && other.offset < end(); }
};

Error damaged(std::string why) {
  return Error(Errc::kCorrupt, "the SIF file is damaged: " + std::move(why));
}

// Negative numbers are far outside as unsigned ones.
std::optional<Range> range_within(std::uint64_t offset, std::uint64_t size, std::uint64_t file_size) {
  if (offset > file_size || size > file_size - offset) return std::nullopt;
  return Range{offset, size};
}

struct Object {
  std::uint32_t type = 0;
  Range data;
  std::string_view descriptor;
};

Result<std::vector<Object>> objects_of(std::string_view table, const Header& header, std::uint64_t file_size) {
  const std::array<Range, 2> own = {Range{0, kHeaderBytes}, Range{header.table_offset, header.table_bytes()}};
  std::vector<Object> out;
  for (std::size_t i = 0; i < header.descriptors; ++i) {
    const std::string_view bytes = table.substr(i * kDescriptorBytes, kDescriptorBytes);
    if (bytes[kUsedAt] == 0) continue;
    const auto data = range_within(le64(bytes, kDataAt), le64(bytes, kDataSizeAt), file_size);
    const std::string name = "data object " + std::to_string(i + 1);
    if (!data) return damaged(name + " reaches beyond the end of the file");
    if (data->size != 0 && std::ranges::any_of(own, [&](const Range& range) { return range.overlaps(*data); }))
      return damaged(name + " lies over the header or the descriptors");
    out.push_back({le32(bytes, 0), *data, bytes});
  }
  return out;
}

Status check_overlaps(const std::vector<Object>& objects) {
  std::vector<Range> ranges;
  for (const Object& object : objects) {
    if (object.data.size != 0) ranges.push_back(object.data);
  }
  std::ranges::sort(ranges, {}, &Range::offset);
  for (std::size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i - 1].overlaps(ranges[i])) return damaged("two data objects lie over each other");
  }
  return {};
}

Error without_system(const std::vector<Object>& objects) {
  const bool oci = std::ranges::any_of(objects, [](const Object& one) { return one.type == kOciRootIndex; });
  if (oci) {
    return Error(Errc::kUnsupported, "the SIF file holds an OCI image (OCI-SIF), which is not supported")
        .with_hint("export it to an OCI layout or archive and use cooper image load");
  }
  return Error(Errc::kUnsupported, "the SIF file has no primary system partition");
}

}  // namespace

bool has_magic(std::string_view start) {
  return start.size() >= kHeaderBytes && start.substr(kMagicAt, kMagic.size()) == kMagic;
}

Result<Header> parse_header(std::string_view bytes, std::uint64_t file_size) {
  if (!has_magic(bytes)) return damaged("it does not begin with a header");
  if (bytes.substr(kVersionAt, kVersion.size()) != kVersion)
    return Error(Errc::kUnsupported, "the SIF file has a version other than 1");
  Header out;
  out.architecture = architecture_word(bytes.substr(kArchitectureAt, 2));
  out.table_offset = le64(bytes, kTableAt);
  out.descriptors = le64(bytes, kTotalAt);
  if (out.descriptors > kMaxDescriptors)
    return Error(Errc::kLimit, "the SIF file has more than " + std::to_string(kMaxDescriptors) + " descriptors");
  if (out.table_offset < kHeaderBytes) return damaged("the descriptors lie over the header");
  // The size of the table in the header counts what is reserved; the number of descriptors is what is read.
  if (le64(bytes, kTableSizeAt) < out.table_bytes()) return damaged("the table is too small for its descriptors");
  if (!range_within(out.table_offset, out.table_bytes(), file_size))
    return damaged("the descriptors reach beyond the end of the file");
  return out;
}

Result<Partition> find_system(std::string_view table, const Header& header, std::uint64_t file_size) {
  if (table.size() != header.table_bytes()) return damaged("the descriptors are cut off");
  ASSIGN_OR_RETURN(const auto objects, objects_of(table, header, file_size));
  RETURN_IF_ERROR(check_overlaps(objects));
  const Object* found = nullptr;
  for (const Object& object : objects) {
    if (object.type != kPartition || le32(object.descriptor, kPartitionTypeAt) != kPrimarySystem) continue;
    if (found != nullptr) return damaged("it has two primary system partitions");
    found = &object;
  }
  if (found == nullptr) return without_system(objects);
  const std::uint32_t type = le32(found->descriptor, kFileSystemAt);
  if (type != kSquashfs) {
    const std::string_view word = kFileSystems[type < kFileSystems.size() ? type : 0];
    return Error(Errc::kUnsupported,
                 "the root file system of the SIF file is of type " + quoted(word) + ", only squashfs is supported");
  }
  Partition out{found->data.offset, found->data.size, header.architecture};
  if (std::string own = architecture_word(found->descriptor.substr(kPartitionArchitectureAt, 2)); !own.empty())
    out.architecture = std::move(own);
  return out;
}

}  // namespace cooper::image::sif
