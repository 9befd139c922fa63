// Records of pax extended headers: "<length> <key>=<value>\n".
#include "codec/internal/tar_header.h"

#include "base/percent.h"
#include "base/strings.h"
#include "codec/base64.h"

namespace cooper::codec::tar {
namespace {

constexpr std::string_view kSchily = "SCHILY.xattr.";
constexpr std::string_view kLibarchive = "LIBARCHIVE.xattr.";
constexpr std::string_view kSparse = "GNU.sparse.";

template <typename T>
Result<T> pax_number(std::string_view key, std::string_view value) {
  const auto number = parse_number<T>(value);
  if (!number) return corrupt("pax record " + quoted(key) + " is no number: " + quoted(value));
  return *number;
}

Result<std::string> pax_name(std::string_view key, std::string_view value) {
  if (value.find('\0') != std::string_view::npos) return corrupt("pax record " + quoted(key) + " holds a NUL byte");
  if (value.size() > kMaxNameBytes) return Error(Errc::kLimit, "tar: name is longer than 4095 bytes");
  return std::string(value);
}

// "-1.25" is 1.25 seconds before the epoch.
Result<std::pair<std::int64_t, std::uint32_t>> pax_time(std::string_view key, std::string_view value) {
  const auto parts = split_once(value, '.');
  const std::string_view whole = parts ? parts->first : value;
  const bool negative = whole.starts_with('-');
  const auto seconds =
      whole == "-" || whole.empty() ? std::optional<std::int64_t>(0) : parse_number<std::int64_t>(whole);
  if (!seconds) return corrupt("pax record " + quoted(key) + " is no time: " + quoted(value));
  std::uint32_t nanoseconds = 0;
  std::uint32_t unit = 100'000'000;
  for (const char c : parts ? parts->second : std::string_view{}) {
    if (c < '0' || c > '9') return corrupt("pax record " + quoted(key) + " is no time: " + quoted(value));
    nanoseconds += static_cast<std::uint32_t>(c - '0') * unit;
    unit /= 10;
  }
  // The year 292 billion is as good as corrupt; the bound keeps the arithmetic below defined.
  constexpr std::int64_t kFar = std::int64_t{1} << 62;
  if (*seconds > kFar || *seconds < -kFar) return corrupt("pax record " + quoted(key) + " is out of range");
  if (!negative || nanoseconds == 0) return std::pair{*seconds, nanoseconds};
  return std::pair{*seconds - 1, 1'000'000'000 - nanoseconds};
}

Status add_xattr(std::string name, std::string value, Extensions& out) {
  if (name.empty() || name.size() > 255 || name.find('\0') != std::string::npos)
    return corrupt("bad name of an extended attribute");
  if (value.size() > kMaxXattrBytes)
    return Error(Errc::kLimit, "tar: extended attribute " + quoted(name) + " is larger than 64 KiB");
  out.xattrs.insert_or_assign(std::move(name), std::move(value));
  return {};
}

Status add_part(Extensions& out, std::uint64_t offset, std::uint64_t size) {
  if (out.sparse_parts.size() == kMaxSparseParts) return Error(Errc::kLimit, "tar: sparse file has too many parts");
  out.sparse_parts.push_back({offset, size});
  return {};
}

// 0.1: "offset,size,offset,size"
Status parse_sparse_map(std::string_view key, std::string_view value, Extensions& out) {
  if (value.empty()) return {};
  out.sparse_parts.clear();
  const auto items = split(value, ',');
  if (items.size() % 2 != 0) return corrupt("odd number of values in a sparse map");
  for (std::size_t i = 0; i < items.size(); i += 2) {
    ASSIGN_OR_RETURN(const auto offset, pax_number<std::uint64_t>(key, items[i]));
    ASSIGN_OR_RETURN(const auto size, pax_number<std::uint64_t>(key, items[i + 1]));
    RETURN_IF_ERROR(add_part(out, offset, size));
  }
  return {};
}

Status parse_sparse_record(std::string_view key, std::string_view value, Extensions& out) {
  out.sparse = true;
  const std::string_view name = key.substr(kSparse.size());
  if (name == "name") {
    ASSIGN_OR_RETURN(out.sparse_name, pax_name(key, value));
    return {};
  }
  if (name == "map") return parse_sparse_map(key, value, out);
  if (name != "major" && name != "minor" && name != "size" && name != "realsize" && name != "offset" &&
      name != "numbytes") {
    return {};  // numblocks repeats what the parts say
  }
  ASSIGN_OR_RETURN(const auto number, pax_number<std::uint64_t>(key, value));
  if (name == "major") {
    out.sparse_major = static_cast<unsigned>(number);
  } else if (name == "minor") {
    out.sparse_minor = static_cast<unsigned>(number);
  } else if (name == "size" || name == "realsize") {
    out.sparse_real_size = number;
  } else if (name == "offset") {
    out.pending_offset = number;
  } else {
    if (!out.pending_offset) return corrupt("sparse part without an offset");
    RETURN_IF_ERROR(add_part(out, *out.pending_offset, number));
    out.pending_offset.reset();
  }
  return {};
}

// An empty value takes back what was said before.
template <typename T, typename F>
Status assign(std::optional<T>& out, std::string_view value, F parse) {
  if (value.empty()) {
    out.reset();
    return {};
  }
  ASSIGN_OR_RETURN(out, parse());
  return {};
}

Status parse_record(std::string_view key, std::string_view value, Extensions& out) {
  if (key == "path") return assign(out.path, value, [&] { return pax_name(key, value); });
  if (key == "linkpath") return assign(out.link_path, value, [&] { return pax_name(key, value); });
  if (key == "size") return assign(out.size_bytes, value, [&] { return pax_number<std::uint64_t>(key, value); });
  if (key == "uid") return assign(out.uid, value, [&] { return pax_number<std::int64_t>(key, value); });
  if (key == "gid") return assign(out.gid, value, [&] { return pax_number<std::int64_t>(key, value); });
  if (key == "mtime") return assign(out.mtime, value, [&] { return pax_time(key, value); });
  if (key.starts_with(kSchily)) return add_xattr(std::string(key.substr(kSchily.size())), std::string(value), out);
  if (key.starts_with(kLibarchive)) {
    auto name = percent_decode(key.substr(kLibarchive.size()));
    // libarchive writes it without padding.
    auto bytes = base64_decode(value);
    if (!name || !bytes) return corrupt("bad extended attribute record " + quoted(key));
    return add_xattr(std::move(*name), std::move(*bytes), out);
  }
  if (key.starts_with(kSparse)) return parse_sparse_record(key, value, out);
  return {};
}

}  // namespace

Status parse_pax(std::string_view data, Extensions& out) {
  while (!data.empty()) {
    const std::size_t blank = data.find(' ');
    const auto length =
        blank == std::string_view::npos ? std::nullopt : parse_number<std::size_t>(data.substr(0, blank));
    if (!length || *length > data.size() || *length < blank + 3 || data[*length - 1] != '\n')
      return corrupt("bad pax record");
    const std::string_view record = data.substr(blank + 1, *length - blank - 2);
    const auto pair = split_once(record, '=');
    if (!pair || pair->first.empty()) return corrupt("pax record without a key");
    RETURN_IF_ERROR(parse_record(pair->first, pair->second, out));
    data.remove_prefix(*length);
  }
  if (out.pending_offset) return corrupt("sparse part without a size");
  return {};
}

}  // namespace cooper::codec::tar
