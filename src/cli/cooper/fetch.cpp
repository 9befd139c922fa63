#include "cli/cooper/fetch.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strings.h"
#include "cli/cooper/aci_fetch.h"
#include "cli/cooper/output.h"
#include "cli/cooper/pull.h"
#include "sys/file.h"

namespace cooper::cli {

constexpr std::array<Flag, 3> kFetchFlags = {{
    {"signature", 0, "FILE|URL", "where the signature is (default: beside the image, with .asc behind its name)",
     Flag::Complete::kFile},
    {"trust-keys-from-https", 0, "", "when no key is trusted for the name yet: trust those its domain names, unseen"},
    kInsecureFlag,
}};

namespace {

// The verified bytes become an image of the store.
Result<int> hand_over(const FetchedAci& fetched) {
  return Error(Errc::kUnsupported, "image " + quoted(fetched.manifest.name) + " from " + quoted(fetched.from) +
                                       " is what it should be, but the store takes no images of the App Container kind")
      .with_hint("nothing was kept");
}

Result<int> fetch_from(const Context& context, WebSession& web, const AciRequest& request, bool quiet) {
  auto fetched = fetch_aci(context, web, request);
  if (!fetched.ok()) {
    web.end_if_cancelled(fetched.error());
    return std::move(fetched).error();
  }
  if (!quiet && !fetched->signatures.empty())
    RETURN_IF_ERROR(sys::write_all(BorrowedFd(STDERR_FILENO), describe_signatures(fetched->signatures)));
  return hand_over(*fetched);
}

// rkt's way to say that a name is one of a registry, with or without slashes.
std::string without_docker(std::string_view word) {
  for (const std::string_view scheme : {"docker://", "docker:"}) {
    if (word.starts_with(scheme)) return std::string(word.substr(scheme.size()));
  }
  return std::string(word);
}

// A directory, or an archive of another kind.
Result<bool> is_for_load(const std::string& path) {
  ASSIGN_OR_RETURN(const UniqueFd file, sys::openat(sys::kCwd, path, O_RDONLY | O_NONBLOCK));
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(file));
  if (!S_ISREG(info.st_mode)) return true;
  ASSIGN_OR_RETURN(const bool aci, is_aci(file));
  return !aci;
}

Result<int> elsewhere(const Context& context, const Args& args, const std::string& word,
                      Result<int> (*verb)(const Context&, const Args&)) {
  if (args.has("signature") || args.has("trust-keys-from-https"))
    return Error(Errc::kInvalidArgument,
                 quoted(word) + " is no image of the App Container kind: it has no such signature");
  Args plain = args;
  plain.positional().front() = word;
  return verb(context, plain);
}

}  // namespace

Result<int> fetch_image(const Context& context, const Args& args) {
  AciRequest request{.word = args.positional().front(),
                     .signature = args.last("signature").value_or(""),
                     .insecure = {},
                     .trust_keys_from_https = args.enabled("trust-keys-from-https")};
  ASSIGN_OR_RETURN(request.insecure, insecure_options(args));
  const ImageWord kind = classify_image_word(request.word);
  if (kind == ImageWord::kRegistry) return elsewhere(context, args, without_docker(request.word), pull);
  if (kind == ImageWord::kFile) {
    const std::string path = file_of(request.word);
    ASSIGN_OR_RETURN(const bool for_load, is_for_load(path));
    if (for_load) return elsewhere(context, args, path, load_image);
  }
  WebAccess access;
  ASSIGN_OR_RETURN(access.registry, registry_access(args));
  if (kind == ImageWord::kAddress) {
    ASSIGN_OR_RETURN(access.credentials_for, server_of(request.word));
  } else if (args.has("creds")) {
    return Error(Errc::kInvalidArgument, "--creds are for one server, and " + quoted(request.word) + " names none")
        .with_hint("put them into a file of /etc/cooper/auth.d, by the name of the server");
  }
  const bool anything = access.registry.verify_tls == false;
  access.any_certificate = request.insecure.tls || anything;
  request.insecure.http = request.insecure.http || anything;
  const bool quiet = access.registry.quiet;
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  (void)engine;
  WebSession web(context, std::move(access));
  return fetch_from(context, web, request, quiet);
}

}  // namespace cooper::cli
