#include "cli/cooper/aci_fetch.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/strings.h"
#include "cli/cooper/key_review.h"
#include "codec/stream.h"
#include "io/file.h"
#include "spec/appc/discovery.h"
#include "spec/oci_image/platform.h"
#include "sys/file.h"
#include "trust/store.h"

namespace cooper::cli {
namespace {

// Larger images are refused.
constexpr std::uint64_t kMaxImageBytes = std::uint64_t{64} << 30;

bool is_address(std::string_view word) {
  return word.starts_with("https://") || word.starts_with("http://");
}

bool is_regular_file(const std::string& path) {
  const auto info = sys::fstatat(sys::kCwd, path, 0);
  return info.ok() && S_ISREG(info->st_mode);
}

WebSession::Over over_of(bool plain_http) {
  return plain_http ? WebSession::Over::kAnything : WebSession::Over::kTls;
}

std::string own_arch() {
  const oci_image::Platform platform = oci_image::host_platform();
  return appc::arch_of({.architecture = platform.architecture, .variant = platform.variant}).value_or("amd64");
}

// What is said of a name on the pages of its domain, the nearest page that says something first.
template <typename Found>
Result<std::vector<Found>> discover(WebSession& web, const std::string& name, WebSession::Over over, const char* what,
                                    const std::function<std::vector<Found>(const appc::DiscoveryPage&)>& read) {
  std::optional<Error> last;
  std::vector<std::string> schemes = {"https://"};
  if (over == WebSession::Over::kAnything) schemes.emplace_back("http://");
  for (const std::string& page : appc::pages_of(name)) {
    for (const std::string& scheme : schemes) {
      auto html = web.text(scheme + page + "?ac-discovery=1", appc::kMaxPageBytes, over);
      if (!html.ok() && html.error().code() == Errc::kCancelled) return std::move(html).error();
      if (!html.ok()) {
        // Certificates and redirects that were refused tell more than pages that are not there.
        if (!last || last->code() == Errc::kNotFound) last.emplace(std::move(html).error());
        continue;
      }
      std::vector<Found> found = read(appc::read_page(*html));
      if (!found.empty()) return found;
    }
  }
  Error error(last ? last->code() : Errc::kNotFound,
              "discovery of " + std::string(what) + " for " + quoted(name) + " found none" +
                  (last ? ": " + last->message() : std::string(": the pages of its domain do not speak of it")));
  if (last && !last->hint().empty()) return std::move(error).with_hint(last->hint());
  return std::move(error).with_hint("for an image of a registry: cooper image pull");
}

struct Place {
  std::string image;
  std::string signature;
};

Result<Place> place_of(WebSession& web, const AciRequest& request, const appc::ImageName& name) {
  Place place;
  if (is_address(request.word)) {
    place = {request.word, request.word + ".asc"};
  } else {
    const std::string arch = own_arch();
    const auto read = [&](const appc::DiscoveryPage& page) { return appc::image_places(page, name, arch); };
    ASSIGN_OR_RETURN(const auto found,
                     discover<appc::ImagePlace>(web, name.name, over_of(request.insecure.http), "an image", read));
    place = {found.front().image, found.front().signature};
  }
  if (!request.signature.empty()) place.signature = request.signature;
  return place;
}

Result<std::string> read_signature(WebSession& web, const std::string& place, WebSession::Over over) {
  if (is_address(place)) return web.text(place, trust::kMaxSignatureBytes, over);
  return io::read_regular_file(file_of(place), trust::kMaxSignatureBytes);
}

Error no_signature(Error error, const std::string& image) {
  if (error.code() == Errc::kCancelled) return error;
  const bool missing = error.code() == Errc::kNotFound;
  Error out = std::move(error).with("signature of " + quoted(image));
  if (!missing) return out;
  return std::move(out).with_hint(
      "an image without a signature is refused: name one by --signature, or use --insecure-options=image");
}

// A file without a name: nothing is left of it whatever happens.
Result<UniqueFd> spool(const Context& context) {
  const std::string& root = context.settings().engine.root;
  RETURN_IF_ERROR(io::make_directories(root, 0711));
  auto file = sys::openat(sys::kCwd, root, O_TMPFILE | O_RDWR, 0600);
  if (!file.ok()) return std::move(file).error().with("make room for an image in " + quoted(root));
  return file;
}

// Before the signature is looked at, when nobody is trusted for the name yet.
Status ask_for_keys(const Context& context, WebSession& web, const AciRequest& request, const std::string& name) {
  trust::KeyStore store(context.settings().trust.directories);
  ASSIGN_OR_RETURN(const auto keys, store.keys_for(name));
  if (!keys.empty()) return {};
  auto found = discover_keys(web, name, over_of(request.insecure.pubkey));
  // No key is trusted, and that is what will be said.
  if (!found.ok()) return found.error().code() == Errc::kCancelled ? Status(std::move(found).error()) : Status();
  for (const KeyFile& one : *found) {
    const std::string what = "key file " + quoted(one.place);
    ASSIGN_OR_RETURN(std::vector<trust::Key> wanted, trust::parse_keys(one.bytes, what));
    if (!request.trust_keys_from_https) {
      ASSIGN_OR_RETURN(const BorrowedFd cancel, web.cancel());
      ASSIGN_OR_RETURN(wanted, review_keys(std::move(wanted), what, {.prefix = name, .cancel = cancel}));
    }
    for (const trust::Key& key : wanted) {
      auto added = store.add(key, name);
      if (!added.ok()) return std::move(added).error().with("trust key " + trust::print_fingerprint(key.fingerprint));
    }
  }
  return {};
}

// The manifest must say what was asked for.
Status check_labels(const appc::ImageName& wanted, const appc::ImageManifest& manifest) {
  if (manifest.name != wanted.name) {
    return Error(Errc::kCorrupt,
                 "the image is called " + quoted(manifest.name) + ", and " + quoted(wanted.name) + " was asked for");
  }
  for (const appc::NameValue& label : wanted.labels) {
    const auto value = appc::find_value(manifest.labels, label.name);
    // What "latest" is, the server says.
    if (value == label.value || (label.name == "version" && label.value == "latest")) continue;
    return Error(Errc::kCorrupt, "the image's label " + quoted(label.name) + " is " +
                                     (value ? quoted(*value) : std::string("not there")) + ", and " +
                                     quoted(label.value) + " was asked for");
  }
  return {};
}

Result<UniqueFd> get_file(const Context& context, WebSession& web, const std::string& place, WebSession::Over over) {
  ASSIGN_OR_RETURN(UniqueFd file, spool(context));
  if (is_address(place)) {
    ASSIGN_OR_RETURN(const std::uint64_t bytes, web.file(place, kMaxImageBytes, file, over));
    (void)bytes;
    return file;
  }
  // A copy: whoever may write to the file must not change it between the check and its use.
  ASSIGN_OR_RETURN(const UniqueFd source, sys::openat(sys::kCwd, place, O_RDONLY | O_NONBLOCK));
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(source));
  if (!S_ISREG(info.st_mode)) return Error(Errc::kInvalidArgument, quoted(place) + " is no regular file");
  codec::FdSource bytes(source);
  codec::FdSink copy(file);
  RETURN_IF_ERROR(codec::copy_exactly(bytes, static_cast<std::uint64_t>(info.st_size), copy, quoted(place)));
  return file;
}

}  // namespace

std::string file_of(const std::string& word) {
  return word.starts_with("file://") ? word.substr(7) : word;
}

ImageWord classify_image_word(const std::string& word) {
  if (word.starts_with("docker:")) return ImageWord::kRegistry;
  if (is_address(word)) return ImageWord::kAddress;
  if (word.starts_with("file://") || word.starts_with('/') || word.starts_with("./") || word.starts_with("../") ||
      is_regular_file(word))
    return ImageWord::kFile;
  // Names of ACIs begin with a domain, and have neither ports nor digests.
  const auto name = appc::parse_image_name(word);
  if (!name.ok()) return ImageWord::kRegistry;
  // What would be the version is a port and the rest of a name.
  const auto version = appc::find_value(name->labels, "version");
  if (version && version->find('/') != std::string::npos) return ImageWord::kRegistry;
  const std::string_view host = std::string_view(name->name).substr(0, name->name.find('/'));
  const bool domain = host.find('.') != std::string_view::npos || host == "localhost";
  return domain ? ImageWord::kName : ImageWord::kRegistry;
}

Result<std::vector<KeyFile>> discover_keys(WebSession& web, const std::string& name, WebSession::Over over) {
  const auto read = [&](const appc::DiscoveryPage& page) { return appc::key_places(page, name); };
  ASSIGN_OR_RETURN(const auto places, discover<std::string>(web, name, over, "keys", read));
  std::vector<KeyFile> out;
  for (const std::string& place : places) {
    ASSIGN_OR_RETURN(std::string file, web.text(place, trust::kMaxKeyFileBytes, over));
    out.push_back({place, std::move(file)});
  }
  return out;
}

Result<FetchedAci> fetch_aci(const Context& context, WebSession& web, const AciRequest& request) {
  const WebSession::Over over = over_of(request.insecure.http);
  const ImageWord kind = classify_image_word(request.word);
  appc::ImageName wanted;
  Place place{file_of(request.word), file_of(request.word) + ".asc"};
  if (kind == ImageWord::kName) {
    ASSIGN_OR_RETURN(wanted, appc::parse_image_name(request.word));
  }
  if (kind != ImageWord::kFile) {
    ASSIGN_OR_RETURN(place, place_of(web, request, wanted));
  } else if (!request.signature.empty()) {
    place.signature = request.signature;
  }
  // First: without it the image is not worth the way. A server may make it meanwhile.
  std::optional<Result<std::string>> signature;
  if (!request.insecure.image) {
    signature.emplace(read_signature(web, place.signature, over));
    if (!signature->ok() && signature->error().code() != Errc::kBusy)
      return no_signature(std::move(*signature).error(), place.image);
  }
  FetchedAci out;
  out.from = place.image;
  ASSIGN_OR_RETURN(out.file, get_file(context, web, place.image, over));
  ASSIGN_OR_RETURN(out.manifest, read_aci_manifest(out.file, quoted(place.image)));
  if (signature) {
    if (!signature->ok()) signature.emplace(read_signature(web, place.signature, over));
    if (!signature->ok()) return no_signature(std::move(*signature).error(), place.image);
    // Of a file or an address only the image itself says what it is called: its domain is not to be believed for that.
    if (kind == ImageWord::kName && out.manifest.name == wanted.name)
      RETURN_IF_ERROR(ask_for_keys(context, web, request, wanted.name));
    ASSIGN_OR_RETURN(const BorrowedFd cancel, web.cancel());
    ASSIGN_OR_RETURN(
        out.signatures,
        check_aci(context, {out.file, quoted(place.image), out.manifest.name, std::move(**signature)}, cancel));
  }
  if (kind == ImageWord::kName) RETURN_IF_ERROR(check_labels(wanted, out.manifest));
  return out;
}

}  // namespace cooper::cli
