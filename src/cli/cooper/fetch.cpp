#include "cli/cooper/fetch.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strings.h"
#include "cli/cooper/aci_fetch.h"
#include "cli/cooper/aci_intake.h"
#include "cli/cooper/aci_run.h"
#include "cli/cooper/image_policy.h"
#include "cli/cooper/output.h"
#include "cli/cooper/pull.h"
#include "log/log.h"
#include "sys/file.h"
#include "trust/store.h"

namespace cooper::cli {

constexpr std::array<Flag, 6> kFetchFlags = {{
    kSignatureFlag,
    {"trust-keys-from-https", 0, "", "when no key is trusted for the name yet: trust those its domain names, unseen"},
    kInsecureFlag,
    kPolicyFlags[0],
    {"pull-policy", 0, "POLICY",
     "update: the server is asked (default); new: only for what the store lacks; never: the store only",
     Flag::Complete::kWords, "update new never"},
    {"full", 0, "", "print ids in full, one a line, and nothing else"},
}};

namespace {

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

std::string no_aci(const std::string& word) {
  return quoted(word) + " is no image of the App Container kind: it has no such signature";
}

Result<int> elsewhere(const Context& context, const Args& args, const std::string& word,
                      Result<int> (*verb)(const Context&, const Args&)) {
  for (const char* flag : {"signature", "trust-keys-from-https"}) {
    if (args.has(flag)) return Error(Errc::kInvalidArgument, no_aci(word));
  }
  if (args.enabled("full"))
    return Error(Errc::kInvalidArgument, "--full is for ACIs, and " + quoted(word) + " is none")
        .with_hint("--quiet prints the id");
  Args plain = args;
  plain.positional().front() = word;
  return verb(context, plain);
}

// From a copy: whoever may write to the file must not change it between the check and its use.
Result<std::vector<image::Image>> load_signed(const Context& context, image::Store& store, image::LoadOptions options,
                                              const std::string& signature) {
  WebSession web(context, {});
  const auto load = [&]() -> Result<std::vector<image::Image>> {
    ASSIGN_OR_RETURN(
        const FetchedAci aci,
        fetch_aci(context, web, {.word = "file://" + options.path, .signature = signature, .file = options.file}));
    RETURN_IF_ERROR(print_signatures(aci));
    options.file = aci.file;
    options.transport = image::Transport::kAci;
    return store.load(options);
  };
  auto images = load();
  if (!images.ok()) web.end_if_cancelled(images.error());
  return images;
}

Status check_signature_flag(const std::string& path, const InsecureOptions& insecure) {
  if (insecure.image)
    return Error(Errc::kInvalidArgument, "--signature names one to check, and --insecure-options=image asks for none");
  if (path == "-")
    return Error(Errc::kInvalidArgument, "--signature is for a file, and the image comes from standard input");
  ASSIGN_OR_RETURN(const bool for_load, is_for_load(path));
  if (for_load) return Error(Errc::kInvalidArgument, no_aci(path));
  return {};
}

Status print_fetched(const Context& context, const Args& args, const std::vector<image::Image>& images) {
  if (!args.enabled("full") || context.json()) return print_loaded(context, images, args.enabled("quiet"));
  std::string out;
  for (const image::Image& image : images)
    out.append(image.id.algorithm()).append("-").append(image.id.hex()).append("\n");
  return print(out);
}

// Nobody can be asked for an id; what is here of that id is there already.
Result<int> fetch_id(const Context& context, const Args& args) {
  const std::string& word = args.positional().front();
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  ASSIGN_OR_RETURN(const image::Store store, engine.images());
  auto image = store.find(word);
  if (!image.ok() && image.error().code() == Errc::kNotFound)
    return std::move(image).error().with_hint("an id cannot be fetched: give the name of the image, or its address");
  if (!image.ok()) return std::move(image).error();
  image->given_names = image->names;
  RETURN_IF_ERROR(print_fetched(context, args, {std::move(*image)}));
  return 0;
}

// What the store has, when the policy lets that do.
Result<std::optional<image::Image>> fetched_before(const Context& context, const Args& args, const std::string& word,
                                                   ImageWord kind) {
  const std::optional<image::Image> none;
  ASSIGN_OR_RETURN(const auto policy, pull_policy_flags(args));
  if (!policy || *policy == pod::Pull::kAlways || kind == ImageWord::kFile) return none;
  // Whether it is what is there now its server says in a word.
  if (*policy == pod::Pull::kMissing && kind == ImageWord::kAddress) return none;
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  ASSIGN_OR_RETURN(const image::Store store, engine.images());
  ASSIGN_OR_RETURN(auto known, known_image(store, kind == ImageWord::kRegistry ? without_docker(word) : word));
  if (known) known->given_names = known->names;
  if (known || *policy == pod::Pull::kMissing) return known;
  return Error(Errc::kNotFound, "the store has no image " + quoted(word) + ", and nothing may be fetched")
      .with_hint("--pull-policy=new fetches it");
}

}  // namespace

Result<std::vector<image::Image>> load_checked(const Context& context, const Args& args, image::Store& store,
                                               image::LoadOptions options) {
  ASSIGN_OR_RETURN(const InsecureOptions insecure, insecure_options(args));
  if (const auto signature = args.last("signature")) {
    RETURN_IF_ERROR(check_signature_flag(options.path, insecure));
    return load_signed(context, store, std::move(options), *signature);
  }
  if (insecure.image) return store.load(options);
  bool must_be_signed = false;
  options.admit_aci = [&](const appc::ImageManifest& manifest) -> Status {
    ASSIGN_OR_RETURN(const auto keys, trust::KeyStore(context.settings().trust.directories).keys_for(manifest.name));
    must_be_signed = !keys.empty();
    if (must_be_signed)
      return Error(Errc::kPermission, "keys are trusted for images called " + quoted(manifest.name) +
                                          ", and standard input has no signature")
          .with_hint("load a file, with its signature beside it, or use --insecure-options=image");
    if (options.path != "-" && sys::fstatat(sys::kCwd, options.path + ".asc").ok())
      log::warning("the signature " + quoted(options.path + ".asc") + " is not checked: no key is trusted for " +
                   quoted(manifest.name) + " (cooper trust add)");
    return {};
  };
  auto images = store.load(options);
  if (!must_be_signed || options.path == "-") return images;
  options.admit_aci = {};
  return load_signed(context, store, std::move(options), "");
}

namespace {

Result<int> fetch_one(const Context& context, Args args) {
  ASSIGN_OR_RETURN(args.positional().front(), image_word(args.positional().front()));
  AciRequest request{.word = args.positional().front(),
                     .signature = args.last("signature").value_or(""),
                     .insecure = {},
                     .trust_keys_from_https = args.enabled("trust-keys-from-https")};
  ASSIGN_OR_RETURN(request.insecure, insecure_options(args));
  if (image::Store::names_an_id(request.word)) return fetch_id(context, args);
  const ImageWord kind = classify_image_word(request.word);
  ASSIGN_OR_RETURN(auto before, fetched_before(context, args, request.word, kind));
  if (before) {
    RETURN_IF_ERROR(print_fetched(context, args, {std::move(*before)}));
    return 0;
  }
  if (kind == ImageWord::kRegistry) return elsewhere(context, args, without_docker(request.word), pull);
  if (kind == ImageWord::kFile) {
    const std::string path = file_of(request.word);
    ASSIGN_OR_RETURN(const bool for_load, is_for_load(path));
    if (for_load) return elsewhere(context, args, path, load_image);
  }
  ASSIGN_OR_RETURN(const RegistryAccess registry, registry_access(args));
  if (kind != ImageWord::kAddress && args.has("creds")) {
    return Error(Errc::kInvalidArgument, "--creds are for one server, and " + quoted(request.word) + " names none")
        .with_hint("put them into a file of /etc/cooper/auth.d, by the name of the server");
  }
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  ASSIGN_OR_RETURN(image::Store store, engine.images());
  ASSIGN_OR_RETURN(const auto images,
                   bring_aci(context, store, {request, registry, args.last("signature-policy").value_or(""), {}}));
  RETURN_IF_ERROR(print_fetched(context, args, images));
  return 0;
}

// What says something of one image, or of one server.
Status check_several(const Context& context, const Args& args) {
  for (const char* flag : {"signature", "creds"}) {
    if (args.has(flag))
      return Error(Errc::kInvalidArgument, "--" + std::string(flag) + " is for one image, and there are several");
  }
  if (!context.json()) return {};
  return Error(Errc::kInvalidArgument, "--format json is for one image, and there are several");
}

}  // namespace

Result<int> fetch_image(const Context& context, const Args& args) {
  const std::vector<std::string> words = args.positional();
  if (words.size() == 1) return fetch_one(context, args);
  RETURN_IF_ERROR(check_several(context, args));
  for (const std::string& word : words) {
    Args one = args;
    one.positional() = {word};
    RETURN_IF_ERROR(fetch_one(context, one));
  }
  return 0;
}

}  // namespace cooper::cli
