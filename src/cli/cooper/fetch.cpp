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

// Verified bytes become an image of the store, and so does what it depends on and the store lacks.
class Intake {
 public:
  Intake(const Context& context, WebSession& web, const AciRequest& request, image::Store& store, bool quiet)
      : context_(context), web_(web), request_(request), store_(store), quiet_(quiet) {}

  Result<std::vector<image::Image>> fetch(const std::string& word, const std::string& signature,
                                          std::vector<appc::ImageName> needed_by) {
    AciRequest wanted = request_;
    wanted.word = word;
    wanted.signature = signature;
    ASSIGN_OR_RETURN(const FetchedAci fetched, fetch_aci(context_, web_, wanted));
    if (!quiet_ && !fetched.signatures.empty())
      RETURN_IF_ERROR(sys::write_all(BorrowedFd(STDERR_FILENO), describe_signatures(fetched.signatures)));
    image::LoadOptions options;
    options.path = fetched.from;
    options.file = fetched.file;
    options.transport = image::Transport::kAci;
    options.needed_by = std::move(needed_by);
    options.supply = [&](const appc::Dependency& dependency,
                         const std::vector<appc::ImageName>& dependents) -> Result<bool> {
      ASSIGN_OR_RETURN(const auto images,
                       fetch(appc::print_image_name(dependency.image_name, dependency.labels), "", dependents));
      return !images.empty();
    };
    return store_.load(options);
  }

 private:
  const Context& context_;
  WebSession& web_;
  const AciRequest& request_;
  image::Store& store_;
  bool quiet_;
};

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
  ASSIGN_OR_RETURN(image::Store store, engine.images());
  WebSession web(context, std::move(access));
  auto images = Intake(context, web, request, store, quiet).fetch(request.word, request.signature, {});
  if (!images.ok()) {
    // Not before everything was taken away that was begun.
    web.end_if_cancelled(images.error());
    return std::move(images).error();
  }
  RETURN_IF_ERROR(print_loaded(context, *images, quiet));
  return 0;
}

}  // namespace cooper::cli
