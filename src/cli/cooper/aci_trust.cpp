#include "cli/cooper/aci_trust.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "base/strings.h"
#include "cli/cooper/time_text.h"
#include "codec/compression.h"
#include "codec/tar.h"
#include "spec/appc/parse.h"
#include "sys/file.h"
#include "trust/store.h"

namespace cooper::cli {
namespace {

constexpr std::string_view kManifest = "manifest";
constexpr std::string_view kRootfs = "rootfs";

std::string_view without_dot(std::string_view path) {
  return path.starts_with("./") ? path.substr(2) : path;
}

// An ACI has "manifest" and "rootfs", and nothing else beside them.
bool is_of_aci(std::string_view path) {
  const std::string_view name = without_dot(path);
  return name == kManifest || name == kRootfs || name.starts_with("rootfs/");
}

// The archive of a file from its beginning, whatever that is compressed with.
class Archive {
 public:
  static Result<std::unique_ptr<Archive>> open(BorrowedFd file) {
    ASSIGN_OR_RETURN(UniqueFd own, sys::reopen(file, O_RDONLY | O_CLOEXEC));
    std::unique_ptr<Archive> out(new Archive(std::move(own)));  // ban-ok(new): private constructor
    ASSIGN_OR_RETURN(out->plain_, codec::Decompressor::create(out->bytes_));
    out->blocks_.emplace(*out->plain_);
    out->reader_.emplace(*out->blocks_);
    return out;
  }
  codec::tar::Reader& reader() { return *reader_; }

 private:
  explicit Archive(UniqueFd file) : file_(std::move(file)), bytes_(file_) {}
  UniqueFd file_;
  codec::FdSource bytes_;
  std::unique_ptr<codec::Decompressor> plain_;
  std::optional<codec::BufferedBlocks> blocks_;
  std::optional<codec::tar::Reader> reader_;
};

Result<std::string> read_entry(codec::tar::Reader& reader, const codec::tar::Entry& entry, const std::string& what) {
  if (entry.type != codec::tar::EntryType::kFile)
    return Error(Errc::kCorrupt, what + ": its manifest is no regular file");
  if (entry.size_bytes > appc::kMaxManifestBytes)
    return Error(Errc::kLimit, what + ": its manifest is larger than " + format_bytes(appc::kMaxManifestBytes));
  std::string out;
  while (true) {
    ASSIGN_OR_RETURN(const codec::tar::Chunk chunk, reader.read());
    if (chunk.bytes.empty()) return out;
    if (chunk.offset != out.size()) return Error(Errc::kCorrupt, what + ": its manifest has holes");
    out += chunk.bytes;
  }
}

}  // namespace

Result<appc::ImageManifest> read_aci_manifest(BorrowedFd file, const std::string& what) {
  auto archive = Archive::open(file);
  if (!archive.ok()) return std::move(archive).error().with(what);
  codec::tar::Reader& reader = (*archive)->reader();
  codec::tar::Entry entry;
  for (bool first = true;; first = false) {
    auto more = reader.next(entry);
    // Not what the decompressor says: that is about a broken archive.
    if (!more.ok() && first && more.error().message().starts_with("tar: "))
      return Error(Errc::kCorrupt, what + " is neither a tar archive nor a compressed one")
          .with_hint("look at what is there: some servers answer with a web page");
    if (!more.ok()) return std::move(more).error().with(what);
    if (!*more) break;
    if (without_dot(entry.path) != kManifest) continue;
    ASSIGN_OR_RETURN(std::string text, read_entry(reader, entry, what));
    return appc::parse_image_manifest(std::move(text), what + ", manifest");
  }
  return Error(Errc::kInvalidArgument, what + " is no image of the App Container kind: there is no manifest in it")
      .with_hint("archives of other kinds are for cooper image load");
}

Result<bool> is_aci(BorrowedFd file) {
  const auto archive = Archive::open(file);
  // Whoever is to load it says what is wrong with it.
  if (!archive.ok()) return false;
  codec::tar::Entry entry;
  while (true) {
    const auto more = (*archive)->reader().next(entry);
    if (!more.ok() || !*more) return false;
    // The directory itself says nothing.
    if (without_dot(entry.path).empty() || entry.path == ".") continue;
    return is_of_aci(entry.path);
  }
}

Result<std::vector<trust::Signature>> check_aci(const Context& context, const SignedAci& image, BorrowedFd cancel) {
  const TrustSettings& settings = context.settings().trust;
  const trust::KeyStore store(settings.directories);
  ASSIGN_OR_RETURN(const std::vector<trust::Key> keys, store.keys_for(image.name));
  auto checked =
      trust::verify_detached(image.file, image.signature, keys, {.program = settings.gpgv_path, .cancel = cancel});
  if (checked.ok()) return checked;
  Error error = std::move(checked).error();
  if (error.code() == Errc::kCancelled) return error;
  return std::move(error).with(image.what + ", signature for " + quoted(image.name));
}

std::string describe_signatures(const std::vector<trust::Signature>& signatures) {
  std::string out = "signature verified:\n";
  for (const trust::Signature& signature : signatures) {
    out += fmt::format("  {}\n  key {}, {}\n", signature.user_id, trust::print_fingerprint(signature.fingerprint),
                       print_rfc3339_ms(signature.made_unix_s * 1000));
  }
  return out;
}

}  // namespace cooper::cli
