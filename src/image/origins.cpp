#include "image/internal/origins.h"

#include <algorithm>

#include "codec/digest.h"
#include "codec/json.h"
#include "image/internal/intake.h"
#include "image/internal/records.h"
#include "io/file.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

constexpr const char* kOriginsDir = "web";
constexpr int kVersion = 1;
constexpr std::size_t kMaxOriginBytes = std::size_t{64} << 10;
constexpr std::size_t kMaxAddressBytes = std::size_t{8} << 10;

std::string path_of(const std::string& address) {
  return std::string(kOriginsDir) + "/" + std::string(codec::digest_of(address).hex());
}

Result<Origin> read_origin(BorrowedFd store, const std::string& path) {
  ASSIGN_OR_RETURN(std::string text, io::read_file(store, path, kMaxOriginBytes));
  return parse_origin(std::move(text));
}

}  // namespace

std::string print_origin(const Origin& origin) {
  codec::json::Writer out;
  out.begin_object()
      .field("version", kVersion)
      .field("address", origin.address)
      .field("image", origin.image.str())
      .field("etag", origin.etag)
      .field("until_unix_ms", origin.until_unix_ms)
      .field("fingerprints", origin.fingerprints)
      .field("over_tls", origin.over_tls)
      .end_object();
  return out.take();
}

Result<Origin> parse_origin(std::string text) {
  ASSIGN_OR_RETURN(const auto document, codec::json::Document::parse(std::move(text), "origin"));
  const codec::json::Cursor root(document.root(), "origin");
  RETURN_IF_ERROR(root.expect_object());
  int version = 0;
  RETURN_IF_ERROR(root.read("version", version));
  if (version != kVersion) return root.error("format version is not known to this program", Errc::kUnsupported);
  std::string image;
  RETURN_IF_ERROR(root.read("image", image));
  ASSIGN_OR_RETURN(Digest id, Digest::parse(image));
  Origin out{.address = {}, .image = std::move(id)};
  RETURN_IF_ERROR(root.read("address", out.address));
  RETURN_IF_ERROR(root.read("etag", out.etag));
  if (!out.etag.empty() && !fetch::is_etag(out.etag)) return root.error("bad ETag");
  RETURN_IF_ERROR(root.read("until_unix_ms", out.until_unix_ms));
  RETURN_IF_ERROR(root.read("fingerprints", out.fingerprints));
  RETURN_IF_ERROR(root.read("over_tls", out.over_tls));
  return out;
}

Result<std::optional<Origin>> find_origin(BorrowedFd store, const std::string& address) {
  auto origin = read_origin(store, path_of(address));
  if (!origin.ok() || origin->address != address) return std::optional<Origin>();
  ASSIGN_OR_RETURN(const auto image, Records(store).image(origin->image));
  if (!image || !has_all_bytes(store, *image)) return std::optional<Origin>();
  return std::optional(std::move(*origin));
}

Status write_origin(BorrowedFd store, const Origin& origin) {
  if (origin.address.size() > kMaxAddressBytes) return {};
  Status made = sys::mkdirat(store, kOriginsDir, 0700);
  if (!made.ok() && made.error().errno_value() != EEXIST) return made;
  return io::write_file_atomic(store, path_of(origin.address), print_origin(origin), 0600);
}

Status sweep_origins(BorrowedFd store) {
  auto dir = sys::openat(store, kOriginsDir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!dir.ok() && dir.error().errno_value() == ENOENT) return {};
  if (!dir.ok()) return std::move(dir).error();
  ASSIGN_OR_RETURN(const auto files, sys::list_directory(*dir));
  const Records records(store);
  for (const std::string& file : files) {
    const auto origin = read_origin(*dir, file);
    if (origin.ok()) {
      ASSIGN_OR_RETURN(const auto image, records.image(origin->image));
      if (image) continue;
    }
    RETURN_IF_ERROR(sys::unlinkat(*dir, file));
  }
  return {};
}

}  // namespace cooper::image
