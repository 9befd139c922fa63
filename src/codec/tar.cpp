#include "codec/tar.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/strings.h"
#include "codec/internal/tar_header.h"

namespace cooper::codec::tar {

std::string_view to_string(EntryType type) {
  switch (type) {
    case EntryType::kFile:
      return "file";
    case EntryType::kHardLink:
      return "hard link";
    case EntryType::kSymlink:
      return "symbolic link";
    case EntryType::kCharDevice:
      return "character device";
    case EntryType::kBlockDevice:
      return "block device";
    case EntryType::kDirectory:
      return "directory";
    case EntryType::kFifo:
      return "fifo";
  }
  return "unknown";
}

struct Reader::Impl {
  explicit Impl(BlockSource& source) : blocks(source) {}

  // Bytes of the current block not used yet; refilled when empty. Empty afterwards only at the end of the archive.
  Status fill() {
    if (!rest.empty()) return {};
    ASSIGN_OR_RETURN(rest, blocks.next());
    return {};
  }
  void consume(std::size_t n) {
    rest.remove_prefix(n);
    at += n;
  }
  Status skip(std::uint64_t bytes);
  Status skip_padding();
  Result<bool> read_block(std::array<char, kBlock>& out);
  Result<std::string> read_bytes(std::uint64_t size, std::size_t limit);
  Result<std::optional<Header>> read_header();
  Status finish_entry(const Header& header, Extensions& extensions, Entry& entry);
  Status read_gnu_sparse(Header& header);
  Result<std::uint64_t> read_sparse_map(std::uint64_t stored, std::vector<SparsePart>& out);

  BlockSource& blocks;
  std::string_view rest;
  std::uint64_t at = 0;
  bool ended = false;
  bool end_mark = false;
  // The current file.
  std::uint64_t data_left = 0;  // stored bytes not handed out
  std::uint64_t padding = 0;    // to the next header, after the data
  std::uint64_t file_offset = 0;
  std::vector<SparsePart> parts;
  std::size_t part = 0;
  bool sparse = false;
};

Status Reader::Impl::skip(std::uint64_t bytes) {
  while (bytes > 0) {
    if (rest.empty()) {
      ASSIGN_OR_RETURN(const std::uint64_t skipped, blocks.skip(bytes));
      at += skipped;
      bytes -= skipped;
      if (bytes == 0) break;
      RETURN_IF_ERROR(fill());
      if (rest.empty()) return corrupt("archive is truncated");
    }
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, rest.size()));
    consume(n);
    bytes -= n;
  }
  return {};
}

// All of an entry is there by then: an archive that ends here lacks nothing but its end mark. umoci insert makes such.
Status Reader::Impl::skip_padding() {
  while (padding > 0) {
    RETURN_IF_ERROR(fill());
    if (rest.empty()) {
      ended = true;
      break;
    }
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(padding, rest.size()));
    consume(n);
    padding -= n;
  }
  padding = 0;
  return {};
}

// False at the end of the archive; an end in the middle of a block is an error.
Result<bool> Reader::Impl::read_block(std::array<char, kBlock>& out) {
  std::size_t have = 0;
  while (have < kBlock) {
    RETURN_IF_ERROR(fill());
    if (rest.empty()) {
      if (have == 0) return false;
      return corrupt("archive is truncated inside a header");
    }
    const std::size_t n = std::min(kBlock - have, rest.size());
    std::memcpy(out.data() + have, rest.data(), n);
    consume(n);
    have += n;
  }
  return true;
}

// `size` bytes and their padding.
Result<std::string> Reader::Impl::read_bytes(std::uint64_t size, std::size_t limit) {
  if (size > limit)
    return Error(Errc::kLimit, "tar: the extended headers of an entry are larger than " + format_bytes(kMaxPaxBytes));
  std::string out;
  out.reserve(static_cast<std::size_t>(size));
  while (out.size() < size) {
    RETURN_IF_ERROR(fill());
    if (rest.empty()) return corrupt("archive is truncated inside an extended header");
    const std::size_t n = std::min(static_cast<std::size_t>(size) - out.size(), rest.size());
    out.append(rest.substr(0, n));
    consume(n);
  }
  RETURN_IF_ERROR(skip((kBlock - size % kBlock) % kBlock));
  return out;
}

// nullopt at the end.
Result<std::optional<Header>> Reader::Impl::read_header() {
  std::array<char, kBlock> block;
  ASSIGN_OR_RETURN(const bool more, read_block(block));
  if (!more) {
    ended = true;
    return std::optional<Header>();
  }
  if (!is_zero_block(block)) {
    ASSIGN_OR_RETURN(Header header, parse_header(block));
    return std::optional(std::move(header));
  }
  ended = true;
  end_mark = true;
  // Two zero blocks end an archive; one at the very end of the bytes does too.
  ASSIGN_OR_RETURN(const bool second, read_block(block));
  if (second && !is_zero_block(block)) return corrupt("a single zero block in the middle of the archive");
  return std::optional<Header>();
}

Status Reader::Impl::read_gnu_sparse(Header& header) {
  std::array<char, kBlock> block;
  while (header.sparse_continues) {
    ASSIGN_OR_RETURN(const bool more, read_block(block));
    if (!more) return corrupt("archive is truncated inside a sparse header");
    ASSIGN_OR_RETURN(header.sparse_continues, parse_sparse_block(block, header.sparse));
  }
  return {};
}

// pax 1.0: the map stands in front of the data, decimal numbers a line each, padded to whole blocks. Returns its size.
Result<std::uint64_t> Reader::Impl::read_sparse_map(std::uint64_t stored, std::vector<SparsePart>& out) {
  std::array<char, kBlock> block;
  std::uint64_t used = 0;
  std::string line;
  std::vector<std::uint64_t> numbers;
  std::uint64_t wanted = 1;
  while (numbers.size() < wanted) {
    if (stored - used < kBlock) return corrupt("sparse map is longer than its file");
    ASSIGN_OR_RETURN(const bool more, read_block(block));
    if (!more) return corrupt("archive is truncated inside a sparse map");
    used += kBlock;
    for (const char c : block) {
      if (c != '\n') {
        line += c;
        if (line.size() > 20) return corrupt("bad number in a sparse map");
        continue;
      }
      const auto number = parse_number<std::uint64_t>(line);
      if (!number) return corrupt("bad number in a sparse map");
      if (numbers.empty()) {
        if (*number > kMaxSparseParts) return Error(Errc::kLimit, "tar: sparse file has too many parts");
        wanted = 1 + 2 * *number;
      }
      numbers.push_back(*number);
      line.clear();
      if (numbers.size() == wanted) break;
    }
  }
  for (std::size_t i = 1; i + 1 < numbers.size(); i += 2) out.push_back({numbers[i], numbers[i + 1]});
  return used;
}

namespace {

// `name`: whole, where the header has only its beginning.
Result<EntryType> entry_type(const Header& header, std::string_view name) {
  if (header.type == '\0') return name.ends_with('/') ? EntryType::kDirectory : EntryType::kFile;
  if (header.type == kContiguousFile || header.type == kGnuSparseFile) return EntryType::kFile;
  const auto found = std::ranges::find(kTypeLetters, header.type, &TypeLetter::letter);
  if (found != kTypeLetters.end()) return found->type;
  return Error(Errc::kUnsupported, "tar: entry " + quoted(name) + " has the unknown type " + quoted({&header.type, 1}));
}

Result<std::uint32_t> narrow_id(std::int64_t value, std::string_view what, const std::string& path) {
  if (value < 0 || value >= std::numeric_limits<std::uint32_t>::max()) {
    return corrupt(std::string(what) + " " + std::to_string(value) + " of " + quoted(path) + " is out of range");
  }
  return static_cast<std::uint32_t>(value);
}

Result<std::uint32_t> narrow_device(std::uint64_t value, const std::string& path) {
  if (value > std::numeric_limits<std::uint32_t>::max())
    return corrupt("device number of " + quoted(path) + " is out of range");
  return static_cast<std::uint32_t>(value);
}

Status apply_attributes(const Header& header, Extensions& extensions, Entry& entry) {
  entry.link_target = extensions.link_path.value_or(header.link_name);
  if (entry.type != EntryType::kHardLink && entry.type != EntryType::kSymlink) entry.link_target.clear();
  entry.mode = static_cast<std::uint32_t>(header.mode & 07777);
  ASSIGN_OR_RETURN(entry.uid, narrow_id(extensions.uid.value_or(header.uid), "uid", entry.path));
  ASSIGN_OR_RETURN(entry.gid, narrow_id(extensions.gid.value_or(header.gid), "gid", entry.path));
  ASSIGN_OR_RETURN(entry.device_major, narrow_device(header.device_major, entry.path));
  ASSIGN_OR_RETURN(entry.device_minor, narrow_device(header.device_minor, entry.path));
  entry.mtime_s = extensions.mtime ? extensions.mtime->first : header.mtime_s;
  entry.mtime_ns = extensions.mtime ? extensions.mtime->second : 0;
  entry.xattrs.clear();
  for (auto& [name, value] : extensions.xattrs) entry.xattrs.emplace_back(name, std::move(value));
  return {};
}

}  // namespace

// Everything about an entry is known: fills it and sets up reading its data.
Status Reader::Impl::finish_entry(const Header& header, Extensions& extensions, Entry& entry) {
  entry.path = extensions.sparse_name.value_or(extensions.path.value_or(header.name));
  ASSIGN_OR_RETURN(entry.type, entry_type(header, entry.path));
  RETURN_IF_ERROR(apply_attributes(header, extensions, entry));
  std::uint64_t stored = extensions.size_bytes.value_or(header.size_bytes);
  constexpr std::uint64_t kMaxSize = std::uint64_t{1} << 62;
  if (stored > kMaxSize || extensions.sparse_real_size.value_or(0) > kMaxSize || header.real_size_bytes > kMaxSize) {
    return corrupt("size of " + quoted(entry.path) + " is out of range");
  }
  if (entry.type != EntryType::kFile) stored = 0;
  padding = (kBlock - stored % kBlock) % kBlock;
  entry.size_bytes = stored;
  entry.sparse.reset();
  sparse = entry.type == EntryType::kFile && (extensions.sparse || header.type == kGnuSparseFile);
  parts.clear();
  if (sparse) {
    if (header.type == kGnuSparseFile) {
      parts = header.sparse;
      entry.size_bytes = header.real_size_bytes;
    } else {
      if (!extensions.sparse_real_size) return corrupt("sparse file " + quoted(entry.path) + " without its size");
      entry.size_bytes = *extensions.sparse_real_size;
      if (extensions.sparse_major == 1) {
        ASSIGN_OR_RETURN(const std::uint64_t map_bytes, read_sparse_map(stored, parts));
        stored -= map_bytes;
      } else {
        parts = std::move(extensions.sparse_parts);
      }
    }
    RETURN_IF_ERROR(check_sparse(parts, entry.size_bytes, stored));
    entry.sparse = parts;
  }
  data_left = stored;
  file_offset = 0;
  part = 0;
  return {};
}

Reader::Reader(BlockSource& blocks) : impl_(std::make_unique<Impl>(blocks)) {}
Reader::~Reader() = default;
Reader::Reader(Reader&&) noexcept = default;
Reader& Reader::operator=(Reader&&) noexcept = default;

std::uint64_t Reader::position() const {
  return impl_->at;
}
bool Reader::saw_end_mark() const {
  return impl_->end_mark;
}

Result<bool> Reader::next(Entry& entry) {
  Impl& self = *impl_;
  RETURN_IF_ERROR(self.skip(self.data_left));
  self.data_left = 0;
  RETURN_IF_ERROR(self.skip_padding());
  if (self.ended) return false;
  Extensions extensions;
  bool extended = false;
  std::size_t room = kMaxPaxBytes;  // an entry may have any number of them
  while (true) {
    ASSIGN_OR_RETURN(std::optional<Header> header, self.read_header());
    if (!header) {
      if (extended) return corrupt("archive ends after an extended header");
      return false;
    }
    switch (header->type) {
      case 'x': {
        ASSIGN_OR_RETURN(const std::string records, self.read_bytes(header->size_bytes, room));
        room -= records.size();
        RETURN_IF_ERROR(parse_pax(records, extensions));
        extended = true;
        continue;
      }
      case 'L':
      case 'K': {
        const auto too_long = [] { return Error(Errc::kLimit, "tar: name is longer than 4095 bytes"); };
        if (header->size_bytes > kMaxNameBytes + 1) return too_long();
        ASSIGN_OR_RETURN(std::string name, self.read_bytes(header->size_bytes, kMaxNameBytes + 1));
        name.resize(std::min(name.size(), name.find('\0')));
        if (name.size() > kMaxNameBytes) return too_long();
        (header->type == 'L' ? extensions.path : extensions.link_path) = std::move(name);
        extended = true;
        continue;
      }
      case 'g':  // defaults for the whole archive, in practice a comment
      case 'V':  // GNU volume label
        RETURN_IF_ERROR(self.read_bytes(header->size_bytes, kMaxPaxBytes));
        continue;
      default:
        break;
    }
    RETURN_IF_ERROR(self.read_gnu_sparse(*header));
    RETURN_IF_ERROR(self.finish_entry(*header, extensions, entry));
    return true;
  }
}

Result<Chunk> Reader::read() {
  Impl& self = *impl_;
  while (self.sparse && self.part < self.parts.size() && self.parts[self.part].size == 0) ++self.part;
  if (self.data_left == 0) return Chunk{};
  RETURN_IF_ERROR(self.fill());
  if (self.rest.empty()) return corrupt("archive is truncated inside a file");
  std::uint64_t limit = self.data_left;
  Chunk chunk{.offset = self.file_offset, .bytes = {}};
  if (self.sparse) {
    // check_sparse() has made sure that the parts cover the data exactly.
    const SparsePart& part = self.parts[self.part];
    chunk.offset = part.offset + self.file_offset;
    limit = part.size - self.file_offset;
  }
  const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(limit, self.rest.size()));
  chunk.bytes = self.rest.substr(0, n);
  self.consume(n);
  self.data_left -= n;
  self.file_offset += n;
  if (self.sparse && self.file_offset == self.parts[self.part].size) {
    ++self.part;
    self.file_offset = 0;
  }
  return chunk;
}

}  // namespace cooper::codec::tar
