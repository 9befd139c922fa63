#include "cli/cooper/aci_fetch.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "base/strings.h"
#include "cli/cooper/image_paths.h"
#include "cli/cooper/key_review.h"
#include "codec/digest.h"
#include "codec/stream.h"
#include "fetch/protocol.h"
#include "io/file.h"
#include "log/log.h"
#include "spec/appc/cimd.h"
#include "spec/appc/discovery.h"
#include "spec/appc/image_paths.h"
#include "spec/appc/parse.h"
#include "spec/oci_image/platform.h"
#include "sys/file.h"
#include "trust/store.h"

namespace cooper::cli {
namespace {

bool is_address(std::string_view word) {
  return word.starts_with("https://") || word.starts_with("http://");
}

bool is_regular_file(const std::string& path) {
  const auto info = sys::fstatat(sys::kCwd, path, 0);
  return info.ok() && S_ISREG(info->st_mode);
}

// A directory of any other kind has nothing to do with images that are called like it.
bool is_layout(const std::string& path) {
  return sys::fstatat(sys::kCwd, path + "/oci-layout", 0).ok() && sys::fstatat(sys::kCwd, path + "/index.json", 0).ok();
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
  bool configured = false;  // by paths.d
};

// By the administrator's word: the first template whose file is there, or that is an address; nullopt when nothing is
// said of the name.
Result<std::optional<Place>> configured_place(const Context& context, const appc::ImageName& name) {
  ASSIGN_OR_RETURN(const auto paths, read_image_paths(context.settings().paths_directories));
  const auto entries = appc::paths_about(paths, name.name);
  if (entries.empty()) return std::optional<Place>();
  std::vector<std::string> missing;
  for (const appc::ImagePaths* entry : entries) {
    for (const std::string& pattern : entry->templates) {
      auto place = appc::place_at(pattern, name, own_arch());
      if (!place.ok()) return std::move(place).error().with(entry->file);
      if (!*place) continue;
      if (is_address((*place)->image) || is_regular_file((*place)->image))
        return std::optional(Place{(*place)->image, (*place)->signature, true});
      missing.push_back(quoted((*place)->image));
    }
  }
  const std::string where =
      missing.empty() ? "no template has values for all its variables" : "looked for: " + join(missing, ", ");
  return Error(Errc::kNotFound, "image " + quoted(appc::print_image_name(name.name, name.labels)) + " is not where " +
                                    quoted(entries.front()->file) + " says, " + where)
      .with_hint("put it there, or take the entry for " + quoted(entries.front()->prefix) +
                 " away: its domain is asked then");
}

Result<Place> place_of(const Context& context, WebSession& web, const AciRequest& request,
                       const appc::ImageName& name) {
  Place place;
  std::optional<Place> configured;
  if (!is_address(request.word)) {
    ASSIGN_OR_RETURN(configured, configured_place(context, name));
  }
  if (is_address(request.word)) {
    place = {request.word, request.word + ".asc", false};
  } else if (configured) {
    place = std::move(*configured);
  } else {
    const std::string arch = own_arch();
    const auto read = [&](const appc::DiscoveryPage& page) { return appc::image_places(page, name, arch); };
    ASSIGN_OR_RETURN(const auto found,
                     discover<appc::ImagePlace>(web, name.name, over_of(request.insecure.http), "an image", read));
    place = {found.front().image, found.front().signature, false};
    // A page speaks of the web: a path would be one of this machine.
    for (const std::string& one : {place.image, place.signature}) {
      if (is_address(one)) continue;
      return Error(Errc::kCorrupt, "discovery of an image for " + quoted(name.name) + " names " +
                                       quoted(fetch::for_people(one, 200)) + ", which is no http or https address");
    }
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

// Nothing is where the image should be.
Error no_image(Error error, const AciRequest& request, const std::string& image) {
  std::string hint = is_address(request.word) ? "check the address" : "check the name and the version";
  if (!error.hint().empty()) hint = error.hint();
  return std::move(error).with("there is no image " + quoted(image)).with_hint(std::move(hint));
}

// Of an image without a signature: whether there is an image at all, which no byte of it has to come for.
Status check_there(WebSession& web, const AciRequest& request, const std::string& image, WebSession::Over over) {
  if (!is_address(image)) return {};
  auto there = web.text(image, 0, over);
  if (there.ok()) return {};
  if (there.error().code() == Errc::kCancelled) return std::move(there).error();
  return there.error().code() == Errc::kNotFound ? Status(no_image(std::move(there).error(), request, image))
                                                 : Status();
}

// A file without a name: nothing is left of it whatever happens.
Result<UniqueFd> spool(const Context& context) {
  const std::string& root = context.settings().engine.root;
  RETURN_IF_ERROR(io::make_directories(root, 0711));
  auto file = sys::openat(sys::kCwd, root, O_TMPFILE | O_RDWR, 0600);
  if (!file.ok()) return std::move(file).error().with("make room for an image in " + quoted(root));
  return file;
}

// When nobody is trusted for the name yet.
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
      ASSIGN_OR_RETURN(wanted, review_keys(std::move(wanted), what,
                                           {.prefix = name,
                                            .elsewhere = "cooper trust add --prefix " + name +
                                                         " --fingerprint FINGERPRINT trusts the key that you know, "
                                                         "--trust-keys-from-https whatever the domain names",
                                            .cancel = cancel}));
    }
    for (const trust::Key& key : wanted) {
      auto added = store.add(key, name);
      if (!added.ok()) return std::move(added).error().with("trust key " + trust::print_fingerprint(key.fingerprint));
      // It stays so: said to whoever wants no other word, too.
      RETURN_IF_ERROR(sys::write_all(BorrowedFd(STDERR_FILENO), describe_added(*added, key, name)));
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

std::int64_t now_unix_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

std::int64_t until(std::uint64_t max_age_s) {
  return max_age_s == 0 ? 0 : now_unix_ms() + static_cast<std::int64_t>(max_age_s) * 1000;
}

// By a key that is still trusted for what the image is called.
Result<bool> is_still_trusted(const Context& context, const image::Image& image, const image::Origin& origin) {
  ASSIGN_OR_RETURN(const auto keys, trust::KeyStore(context.settings().trust.directories).keys_for(image.aci->name));
  return std::ranges::any_of(keys, [&](const trust::Key& key) {
    return std::ranges::find(origin.fingerprints, key.fingerprint) != origin.fingerprints.end();
  });
}

// It was made of what the names it needs mean now.
bool has_its_dependencies(const image::Store& store, const image::Image& image, const appc::ImageManifest& manifest) {
  return std::ranges::all_of(manifest.dependencies, [&](const appc::Dependency& one) {
    const auto found = store.find(appc::print_image_name(one.image_name, one.labels));
    return found.ok() && std::ranges::find(image.aci->dependencies, found->id) != image.aci->dependencies.end();
  });
}

// Certificates say who the server is, and nothing leads away from it.
bool is_over_tls(const AciRequest& request) {
  return !request.insecure.http && !request.insecure.tls;
}

// What the store has of an address, when it would do, and its server has nothing newer. Whoever names a signature wants
// that one to be checked.
Result<std::optional<image::Origin>> unchanged_origin(const Context& context, WebSession& web,
                                                      const AciRequest& request, const std::string& address,
                                                      const appc::ImageName& wanted, WebSession::Over over) {
  const std::optional<image::Origin> none;
  if (request.store == nullptr || !request.signature.empty() || !is_address(address)) return none;
  ASSIGN_OR_RETURN(auto origin, request.store->origin(address));
  if (!origin || (is_over_tls(request) && !origin->over_tls)) return none;
  const auto image = request.store->find(origin->image.str());
  if (!image.ok() || !image->aci) return none;
  if (!request.insecure.image) {
    ASSIGN_OR_RETURN(const bool trusted, is_still_trusted(context, *image, *origin));
    if (!trusted) return none;
  }
  ASSIGN_OR_RETURN(std::string text, request.store->aci_manifest_bytes(*image));
  const auto manifest = appc::parse_image_manifest(std::move(text), "image manifest");
  if (!manifest.ok() || !has_its_dependencies(*request.store, *image, *manifest)) return none;
  if (!wanted.name.empty() && !check_labels(wanted, *manifest).ok()) return none;
  const std::int64_t now = now_unix_ms();
  // A clock that was put back must not make days of it.
  const auto longest = static_cast<std::int64_t>(fetch::kMaxAgeS) * 1000;
  if (now < origin->until_unix_ms && origin->until_unix_ms - now <= longest) return origin;
  if (origin->etag.empty()) return none;
  ASSIGN_OR_RETURN(const auto note, web.unchanged(address, origin->etag, over));
  if (!note) return none;
  origin->etag = note->etag;
  origin->over_tls = origin->over_tls && is_over_tls(request);
  origin->until_unix_ms = until(note->max_age_s);
  return origin;
}

// What came is right as far as anybody knows.
bool is_worth_keeping(Errc code) {
  return code != Errc::kCorrupt && code != Errc::kNoSpace && code != Errc::kLimit;
}

struct Got {
  UniqueFd file;
  WebSession::Note note = {};
  bool resumed = false;  // its beginning is what an earlier fetch has left
};

// What an interrupted fetch of the address has left is gone on with. Who asks for TLS goes on with nothing that came
// without it.
Result<Got> get_address(WebSession& web, const AciRequest& request, const std::string& address) {
  const std::string key = address + (is_over_tls(request) ? "" : " of anybody");
  ASSIGN_OR_RETURN(image::Download download, request.store->download(key, request.max_bytes, request.insecure.image));
  const std::string before = download.validator();
  Got out;
  auto note =
      web.file(address, request.max_bytes, download.file(), over_of(request.insecure.http),
               {.had_bytes = download.had_bytes(), .validator = before, .note = [&](const std::string& validator) {
                  return download.note(validator);
                }});
  if (!note.ok()) {
    if (!is_worth_keeping(note.error().code())) download.remove();
    return std::move(note).error();
  }
  out.note = std::move(*note);
  out.resumed = !before.empty() && download.validator() == before;
  ASSIGN_OR_RETURN(out.file, sys::dup_cloexec(download.file()));
  // Whatever becomes of it: nothing is kept of what is refused.
  download.remove();
  return out;
}

Result<Got> get_file(const Context& context, WebSession& web, const AciRequest& request, const std::string& place) {
  if (is_address(place) && request.store != nullptr) return get_address(web, request, place);
  Got out;
  ASSIGN_OR_RETURN(out.file, spool(context));
  if (is_address(place)) {
    ASSIGN_OR_RETURN(out.note, web.file(place, request.max_bytes, out.file, over_of(request.insecure.http)));
    return out;
  }
  // A copy: whoever may write to the file must not change it between the check and its use.
  UniqueFd own;
  BorrowedFd source = request.file;
  if (source.get() < 0) {
    ASSIGN_OR_RETURN(own, open_image_file(place));
    source = own;
  }
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(source));
  codec::RangeSource bytes(source, 0, static_cast<std::uint64_t>(info.st_size));
  codec::FdSink copy(out.file);
  RETURN_IF_ERROR(codec::copy_exactly(bytes, static_cast<std::uint64_t>(info.st_size), copy, quoted(place)));
  return out;
}

// The image, until it is known who has made it. `signature`: none is asked for, or what came of it, which is asked for
// again when there was none yet.
Status take_image(const Context& context, WebSession& web, const AciRequest& request, const Place& place,
                  std::optional<Result<std::string>>& signature, Got& got, FetchedAci& out) {
  auto file = get_file(context, web, request, place.image);
  if (!file.ok() && file.error().code() == Errc::kNotFound && is_address(place.image))
    return no_image(std::move(file).error(), request, place.image);
  if (!file.ok()) return std::move(file).error();
  got = std::move(*file);
  ASSIGN_OR_RETURN(out.manifest, read_aci_manifest(got.file, quoted(place.image)));
  if (!signature) return {};
  if (!signature->ok()) signature.emplace(read_signature(web, place.signature, over_of(request.insecure.http)));
  if (!signature->ok()) return no_signature(Error(std::move(*signature).error()), place.image);
  ASSIGN_OR_RETURN(const BorrowedFd cancel, web.cancel());
  ASSIGN_OR_RETURN(out.signatures,
                   check_aci(context, {got.file, quoted(place.image), out.manifest.name, **signature}, cancel));
  return {};
}

}  // namespace

Result<UniqueFd> open_image_file(const std::string& path) {
  const auto irregular = [&] { return Error(Errc::kInvalidArgument, quoted(path) + " is no regular file"); };
  // Its kind first: a device may act on being opened.
  ASSIGN_OR_RETURN(const struct stat named, sys::fstatat(sys::kCwd, path, 0));
  if (!S_ISREG(named.st_mode)) return irregular();
  ASSIGN_OR_RETURN(UniqueFd file, sys::openat(sys::kCwd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(file));
  if (!S_ISREG(info.st_mode)) return irregular();
  return file;
}

std::string file_of(const std::string& word) {
  return word.starts_with("file://") ? word.substr(7) : word;
}

ImageWord classify_image_word(const std::string& word) {
  if (word.starts_with("docker:")) return ImageWord::kRegistry;
  if (is_address(word)) return ImageWord::kAddress;
  if (word.starts_with("file://") || word.starts_with('/') || word.starts_with("./") || word.starts_with("../") ||
      is_regular_file(word) || is_layout(word))
    return ImageWord::kFile;
  // Names of ACIs begin with a domain, and have neither ports nor digests.
  const auto name = appc::parse_image_name(word);
  if (!name.ok()) return word.ends_with(".aci") ? ImageWord::kFile : ImageWord::kRegistry;
  // What would be the version is a port and the rest of a name.
  const auto version = appc::find_value(name->labels, "version");
  if (version && version->find('/') != std::string::npos) return ImageWord::kRegistry;
  const std::string_view host = std::string_view(name->name).substr(0, name->name.find('/'));
  const bool domain = host.find('.') != std::string_view::npos || host == "localhost";
  // A file that is not there: no domain ends so.
  if (word.ends_with(".aci") && (!domain || host == word)) return ImageWord::kFile;
  return domain ? ImageWord::kName : ImageWord::kRegistry;
}

Result<std::string> image_word(const std::string& word) {
  // A layout that is called so is that.
  if (!appc::is_cimd(word) || sys::fstatat(sys::kCwd, word, 0).ok()) return word;
  return appc::word_of_cimd(word);
}

Result<bool> means_aci(const Context& context, const std::string& word, bool speaks_of_acis) {
  const ImageWord kind = classify_image_word(word);
  if (kind == ImageWord::kAddress) return true;
  if (kind == ImageWord::kFile) return word.ends_with(".aci") && is_regular_file(file_of(word));
  if (kind != ImageWord::kName) return false;
  if (speaks_of_acis || word.find(',') != std::string::npos) return true;
  ASSIGN_OR_RETURN(const appc::ImageName name, appc::parse_image_name(word));
  ASSIGN_OR_RETURN(const auto paths, read_image_paths(context.settings().paths_directories));
  if (!appc::paths_about(paths, name.name).empty()) return true;
  ASSIGN_OR_RETURN(const auto keys, trust::KeyStore(context.settings().trust.directories).list());
  return std::ranges::any_of(keys, [&](const trust::TrustedKey& key) {
    return !key.prefix.empty() && !key.masked && trust::is_meant(key.prefix, name.name);
  });
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
  Place place{file_of(request.word), file_of(request.word) + ".asc", false};
  if (kind == ImageWord::kName) {
    ASSIGN_OR_RETURN(wanted, appc::parse_image_name(request.word));
  }
  if (kind != ImageWord::kFile) {
    ASSIGN_OR_RETURN(place, place_of(context, web, request, wanted));
  } else if (!request.signature.empty()) {
    place.signature = request.signature;
  }
  FetchedAci out;
  out.from = place.image;
  ASSIGN_OR_RETURN(out.origin, unchanged_origin(context, web, request, place.image, wanted, over));
  out.unchanged = out.origin.has_value();
  if (out.unchanged) return out;
  // First: without it the image is not worth the way. A server may make it meanwhile.
  std::optional<Result<std::string>> signature;
  if (!request.insecure.image) {
    signature.emplace(read_signature(web, place.signature, over));
    if (!signature->ok() && signature->error().code() == Errc::kNotFound)
      RETURN_IF_ERROR(check_there(web, request, place.image, over));
    if (!signature->ok() && signature->error().code() != Errc::kBusy)
      return no_signature(std::move(*signature).error(), place.image);
    // Before the image, which may be large. Of a file or an address only the image itself says what it is called: its
    // domain is not to be believed for that. Of what paths.d has, the domain is not asked at all.
    if (kind == ImageWord::kName && !place.configured)
      RETURN_IF_ERROR(ask_for_keys(context, web, request, wanted.name));
  }
  Got got;
  Status taken = take_image(context, web, request, place, signature, got, out);
  if (!taken.ok() && got.resumed && taken.error().code() != Errc::kCancelled) {
    log::warning(taken.error().message() + "; once more, without what an earlier fetch had left");
    got.resumed = false;
    taken = take_image(context, web, request, place, signature, got, out);
  }
  RETURN_IF_ERROR(std::move(taken));
  out.file = std::move(got.file);
  WebSession::Note& note = got.note;
  if (kind == ImageWord::kName) {
    if (Status right = check_labels(wanted, out.manifest); !right.ok())
      return std::move(right).error().with("image " + quoted(request.word) + " from " + quoted(place.image));
  }
  if (!note.etag.empty() || note.max_age_s != 0) {
    out.origin = {.address = place.image,
                  .image = codec::digest_of(""),
                  .etag = std::move(note.etag),
                  .until_unix_ms = until(note.max_age_s),
                  .fingerprints = {},
                  .over_tls = is_over_tls(request)};
    for (const trust::Signature& one : out.signatures) out.origin->fingerprints.push_back(one.fingerprint);
  }
  return out;
}

}  // namespace cooper::cli
