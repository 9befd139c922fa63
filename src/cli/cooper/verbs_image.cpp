// image: what the store holds, and how it gets there.
#include <unistd.h>

#include "base/strings.h"
#include "cli/cooper/command.h"
#include "cli/cooper/describe.h"
#include "cli/cooper/fetch.h"
#include "cli/cooper/image_build.h"
#include "cli/cooper/image_gc.h"
#include "cli/cooper/image_history.h"
#include "cli/cooper/image_list.h"
#include "cli/cooper/image_place.h"
#include "cli/cooper/image_policy.h"
#include "cli/cooper/image_save.h"
#include "cli/cooper/image_unpack.h"
#include "cli/cooper/image_usage.h"
#include "cli/cooper/image_verify.h"
#include "cli/cooper/insecure_options.h"
#include "cli/cooper/load_watch.h"
#include "cli/cooper/progress_display.h"
#include "cli/cooper/pull.h"
#include "cli/cooper/push.h"
#include "cli/cooper/target.h"
#include "cli/cooper/transport_words.h"
#include "image/store.h"
#include "io/tty.h"
#include "spec/oci_image/platform.h"
#include "spec/oci_image/reference.h"

namespace cooper::cli {
namespace {

constexpr TransportText kTransportHelp = transport_help(" (default: found out)");
constexpr std::array<Flag, 7> kLoadFlags = {{
    {"input", 'i', "FILE", "archive or directory, as the argument", Flag::Complete::kFile},
    {"name", 'n', "NAME", "name for the image, beside the one that it brings"},
    {"platform", 0, "OS/ARCH[/VARIANT]", "which image of several (default: this machine's)"},
    {"transport", 0, "KIND", kTransportHelp.view(), Flag::Complete::kWords, kTransportCompletion.view()},
    kSignatureFlag,
    kInsecureFlag,
    {"quiet", 'q', "", "no progress; only ids"},
}};
constexpr std::array<Flag, 6> kImportFlags = {{
    {"platform", 0, "OS/ARCH[/VARIANT]", "which machines it is for (default: this one's kind)"},
    {"arch", 0, "ARCH", "as --platform, of this operating system or that of --os"},
    {"os", 0, "OS", "as --platform, of this architecture or that of --arch"},
    {"change", 'c', "INSTRUCTION",
     "CMD, ENTRYPOINT, ENV, WORKDIR, USER, LABEL, STOPSIGNAL, EXPOSE or VOLUME, as in a Dockerfile"},
    {"message", 'm', "TEXT", "for the image's history"},
    {"quiet", 'q', "", "no progress; only the id"},
}};
constexpr std::array<Flag, 2> kRmFlags = {
    {{"all", 'a', "", "all images"},
     {"force", 'f', "", "also an id that has several names; what is not there is no failure"}}};
constexpr std::array<Flag, 3> kCatFlags = {
    {{"image-config", 0, "", "the image's configuration instead of its manifest"},
     {"oci", 0, "", "of an ACI the manifest of its layers"},
     {"pretty-print", 0, "", "with line breaks, for people: these are not the bytes of the digest"}}};

Result<image::Store> open_store(const Context& context) {
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  return engine.images();
}

Result<image::LoadOptions> load_options(const Args& args) {
  image::LoadOptions options;
  const auto input = args.last("input");
  if (input && !args.positional().empty())
    return Error(Errc::kInvalidArgument, "the archive is named twice: by --input and as an argument");
  options.path = input ? *input : args.positional().empty() ? "-" : args.positional().front();
  if (options.path == "-" && io::is_terminal(BorrowedFd(STDIN_FILENO))) {
    return Error(Errc::kInvalidArgument, "standard input is a terminal")
        .with_hint("name an archive or a directory, or use a pipe");
  }
  options.name = args.last("name").value_or("");
  if (!options.name.empty()) RETURN_IF_ERROR(image::Store::check_new_name(options.name));
  if (const auto text = args.last("platform")) {
    ASSIGN_OR_RETURN(options.platform, oci_image::parse_platform(*text));
  }
  if (options.path != "-") {
    RETURN_IF_ERROR(check_readable_place(options.path));
    ImagePlace place = image_place(options.path);
    options.transport = place.transport;
    options.path = std::move(place.path);
    options.only = std::move(place.only);
  }
  if (const auto word = args.last("transport")) {
    ASSIGN_OR_RETURN(const image::Transport wanted, parse_transport(*word));
    if (options.transport != image::Transport::kAuto && options.transport != wanted)
      return Error(Errc::kInvalidArgument, "--transport and the path name different kinds");
    options.transport = wanted;
  }
  return options;
}

// What is not there may be meant as something else than a path.
Error explain_path(Error error, const std::string& path, const std::string& how) {
  if (error.errno_value() != ENOENT || !error.hint().empty()) return error;
  if (path.starts_with("https://") || path.starts_with("http://")) {
    return std::move(error).with_hint("an address is fetched first: curl -fL " + path + " | cooper image " + how +
                                      "; of an ACI: cooper image fetch");
  }
  if (path.starts_with('.') || path.starts_with('/') || !oci_image::parse_reference(path).ok()) return error;
  return std::move(error).with_hint("cooper image pull " + path + " fetches an image of that name");
}

Result<int> load(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(image::LoadOptions options, load_options(args));
  ASSIGN_OR_RETURN(image::Store store, open_store(context));
  ASSIGN_OR_RETURN(const policy::Gate gate, open_gate(context, args.last("signature-policy").value_or("")));
  auto file = guard(options, gate);
  if (!file.ok()) return explain_path(std::move(file).error(), options.path, "load -");
  const bool quiet = args.enabled("quiet");
  LoadWatch watch(quiet);
  RETURN_IF_ERROR(watch.begin(options));
  auto images = load_checked(context, args, store, options);
  watch.end(images);
  if (!images.ok()) return std::move(images).error();
  RETURN_IF_ERROR(print_loaded(context, *images, quiet));
  return 0;
}

Result<int> import(const Context& context, const Args& args) {
  image::ImportOptions options;
  options.source.path = args.positional().front();
  options.source.transport = image::Transport::kRootfsTar;
  if (args.positional().size() > 1) options.source.name = args.positional()[1];
  ASSIGN_OR_RETURN(options.source.platform, platform_flags(args));
  options.changes = args.all("change");
  options.message = args.last("message").value_or("");
  if (options.source.path == "-" && io::is_terminal(BorrowedFd(STDIN_FILENO))) {
    return Error(Errc::kInvalidArgument, "standard input is a terminal").with_hint("name a tar archive, or use a pipe");
  }
  RETURN_IF_ERROR(image::Store::check(options));
  ASSIGN_OR_RETURN(image::Store store, open_store(context));
  ASSIGN_OR_RETURN(const policy::Gate gate, open_gate(context, args.last("signature-policy").value_or("")));
  auto file = guard(options.source, gate);
  if (!file.ok()) return explain_path(std::move(file).error(), options.source.path, "import - NAME");
  const bool quiet = args.enabled("quiet");
  LoadWatch watch(quiet);
  RETURN_IF_ERROR(watch.begin(options.source));
  auto image = store.import(options);
  watch.end(image);
  if (!image.ok()) return std::move(image).error();
  const std::vector<image::Image> images = {*image};
  RETURN_IF_ERROR(print_loaded(context, images, quiet));
  return 0;
}

Status print_removed(const Context& context, const std::vector<std::string>& untagged,
                     const std::vector<std::string>& deleted) {
  codec::json::Writer out = context.json_writer();
  out.begin_object().field("untagged", untagged).field("deleted", deleted).end_object();
  return print_json(out);
}

// Every name, and the ids of what has none.
Result<std::vector<std::string>> all_references(const image::Store& store) {
  ASSIGN_OR_RETURN(const auto images, store.list(image::Store::Detail::kNames));
  std::vector<std::string> out;
  for (const image::Image& image : images) {
    out.insert(out.end(), image.names.begin(), image.names.end());
    if (image.names.empty()) out.push_back(image.id.str());
  }
  return out;
}

Result<int> rm(const Context& context, const Args& args) {
  const bool all = args.enabled("all");
  if (all != args.positional().empty())
    return Error(Errc::kInvalidArgument, all ? "--all and images by name contradict each other" : "no image is named");
  RETURN_IF_ERROR(check_images(args.positional()));
  ASSIGN_OR_RETURN(image::Store store, open_store(context));
  std::vector<std::string> references = args.positional();
  if (all) {
    ASSIGN_OR_RETURN(references, all_references(store));
  }
  ASSIGN_OR_RETURN(const auto each, store.remove_all(references, args.enabled("force")));
  int status = 0;
  std::vector<std::string> untagged;
  std::vector<std::string> deleted;
  std::string lines;
  for (const auto& removed : each) {
    if (!removed.ok()) {
      report(context, removed.error());
      status = kExitFailure;
      continue;
    }
    for (const std::string& name : removed->untagged) {
      untagged.push_back(name);
      lines += "Untagged: " + name + "\n";
    }
    for (const Digest& id : removed->deleted) {
      deleted.push_back(id.str());
      lines += "Deleted: " + deleted.back() + "\n";
    }
  }
  RETURN_IF_ERROR(context.json() ? print_removed(context, untagged, deleted) : print(lines));
  return status;
}

Result<int> tag(const Context& context, const Args& args) {
  RETURN_IF_ERROR(check_images(std::span(args.positional()).first(1)));
  const auto names = std::span(args.positional()).subspan(1);
  for (const std::string& name : names) RETURN_IF_ERROR(image::Store::check_new_name(name));
  ASSIGN_OR_RETURN(image::Store store, open_store(context));
  RETURN_IF_ERROR(store.tag(args.positional().front(), names));
  if (context.json()) {
    ASSIGN_OR_RETURN(const image::Image image, store.find(args.positional().back()));
    RETURN_IF_ERROR(print_image(context, image));
  }
  return 0;
}

Result<int> untag(const Context& context, const Args& args) {
  RETURN_IF_ERROR(check_images(args.positional()));
  ASSIGN_OR_RETURN(image::Store store, open_store(context));
  ASSIGN_OR_RETURN(const auto names, store.untag(args.positional().front(), std::span(args.positional()).subspan(1)));
  std::string lines;
  for (const std::string& name : names) lines += "Untagged: " + name + "\n";
  RETURN_IF_ERROR(context.json() ? print_removed(context, names, {}) : print(lines));
  return 0;
}

Result<int> exists(const Context& context, const Args& args) {
  RETURN_IF_ERROR(check_images(args.positional()));
  ASSIGN_OR_RETURN(const image::Store store, open_store(context));
  auto image = store.find(args.positional().front());
  if (image.ok()) return 0;
  if (image.error().code() == Errc::kNotFound) return kExitFailure;
  return std::move(image).error();
}

Result<int> cat_manifest(const Context& context, const Args& args) {
  RETURN_IF_ERROR(check_images(args.positional()));
  ASSIGN_OR_RETURN(const image::Store store, open_store(context));
  ASSIGN_OR_RETURN(const image::Image image, store.find(args.positional().front()));
  ASSIGN_OR_RETURN(std::string bytes, args.enabled("image-config")        ? store.config_bytes(image)
                                      : image.aci && !args.enabled("oci") ? store.aci_manifest_bytes(image)
                                                                          : store.manifest_bytes(image));
  if (args.enabled("pretty-print")) {
    ASSIGN_OR_RETURN(const auto document, codec::json::Document::parse(std::move(bytes), "manifest"));
    codec::json::Writer out(codec::json::Writer::Style::kPretty);
    RETURN_IF_ERROR(print_json(out.value(document.root())));
    return 0;
  }
  if (!bytes.ends_with('\n') && ::isatty(STDOUT_FILENO) == 1) bytes += '\n';
  RETURN_IF_ERROR(print(bytes));
  return 0;
}

}  // namespace

Status print_loaded(const Context& context, const std::vector<image::Image>& images, bool quiet) {
  if (context.json()) {
    codec::json::Writer out = context.json_writer();
    out.begin_object().key("images").begin_array();
    for (const image::Image& image : images) describe_image(out, image);
    out.end_array().end_object();
    return print_json(out);
  }
  std::string text;
  for (const image::Image& image : images) {
    if (quiet) {
      text += image.id.str() + "\n";
    } else if (image.given_names.empty()) {
      text += "Loaded image: " + image.id.str() + "\n";
    } else {
      for (const std::string& name : image.given_names) text += "Loaded image: " + name + "\n";
    }
  }
  return print(text);
}

Result<int> load_image(const Context& context, const Args& args) {
  return load(context, args);
}

namespace {

const Command& build_command() {
  static const Command kCommand = {
      .path = "image build-from-dir",
      .usage = "DIR [NAME[:TAG]]",
      .summary = "make an image of the files of a directory",
      .description =
          "All of DIR becomes one layer, alone or with --from on top of another image: owners, modes, times, "
          "attributes, links, devices and holes as they are. Left out are what .cooperignore in DIR and --exclude "
          "name, and sockets. The same files and flags give the same digests. No symbolic link is followed, and a "
          "file that changes meanwhile ends it.",
      .flags = {kBuildFlags, kPolicyFlags},
      .min_args = 1,
      .max_args = 2,
      .handler = build_from_dir,
      .needs = Needs::kOwners,
      .completes = Completes::kFiles,
      .later = Completes::kNothing};
  return kCommand;
}

const Command& save_command() {
  static const Command kCommand = {
      .path = "image save",
      .usage = "IMAGE...",
      .summary = "write images into an archive or a directory",
      .description =
          "Without --output the archive goes to standard output. An image that is named by an id keeps all "
          "its names. The archive is one of docker-archive, which every docker and podman reads, or with "
          "--transport oci-archive or oci-dir an OCI layout, which keeps every digest, or with dir a directory of "
          "skopeo's. A file is replaced whole, a directory must be new or empty. oci:DIR[:NAME] and the like, as image "
          "push takes them, say the kind and give one image its name there.",
      .flags = {kSaveFlags},
      .min_args = 1,
      .handler = save,
      .needs = Needs::kImages,
      .completes = Completes::kImages,
      .own_formats = kSaveFormats};
  return kCommand;
}

}  // namespace

// Images that come and go.
std::span<const Command> transfer_commands() {
  static const std::array<Command, 12> kCommands = {
      {{.path = "image load",
        .usage = "[PATH[:IMAGE]]",
        .summary = "put images of an archive or a directory into the store",
        .description =
            "PATH is an OCI layout (directory or tar), an archive of docker save, podman save or skopeo, a directory "
            "of skopeo's, or an ACI (an App Container image), whose dependencies must be in the store; none or - is "
            "standard input. IMAGE is one of several, by name or tag, or by place (@0 is the first); without it all "
            "are loaded. Containers' words are understood, too: oci:DIR[:IMAGE], oci-archive:FILE[:IMAGE], "
            "docker-archive:FILE[:IMAGE], dir:DIR. "
            "Archives may be compressed with gzip, zstd, bzip2 or xz. Every digest is checked. An ACI for whose name "
            "keys are trusted (cooper trust) must be signed by one of them.",
        .flags = {kLoadFlags, kPolicyFlags},
        .max_args = 1,
        .handler = load,
        .needs = Needs::kOwners,
        .completes = Completes::kFiles},
       {.path = "image import",
        .usage = "TAR [NAME[:TAG]]",
        .summary = "make an image of a root file system in a tar archive",
        .flags = {kImportFlags, kPolicyFlags},
        .min_args = 1,
        .max_args = 2,
        .handler = import,
        .needs = Needs::kOwners,
        .completes = Completes::kFiles,
        .later = Completes::kNothing},
       build_command(),
       save_command(),
       {.path = "image convert",
        .usage = "IMAGE FILE",
        .summary = "write an image in another form: an OCI image as an ACI, an ACI as an OCI image",
        .description = "The end of FILE tells the form: .aci, .tar for an OCI archive, a slash for an OCI layout; or "
                       "--to does. An ACI has all files of an image in one archive; one that was loaded comes out byte "
                       "for byte, uncompressed.",
        .flags = {kConvertFlags},
        .min_args = 2,
        .max_args = 2,
        .handler = convert_image,
        .needs = Needs::kOwners,
        .completes = Completes::kImages,
        .later = Completes::kFiles},
       {.path = "image pull",
        .usage = "NAME[:TAG|@DIGEST]...",
        .summary = "fetch an image from a registry",
        .description =
            "NAME is registry[:port]/name; without a registry it is one of docker.io. What the store has is not "
            "fetched again. https is spoken, and plain http only with a registry on this machine, one that the "
            "configuration calls insecure, or with --tls-verify=false. Credentials come from --creds, "
            "--authfile, /etc/cooper/auth.d, and the files of podman login and docker login. docker://NAME is NAME; "
            "oci:DIR[:IMAGE], oci-archive:FILE[:IMAGE], docker-archive:FILE[:IMAGE] and dir:DIR are loaded, as by "
            "image load.",
        .flags = {kPullFlags, kRegistryFlags, kPolicyFlags},
        .min_args = 1,
        .handler = pull,
        .needs = Needs::kOwners},
       {.path = "image fetch",
        .usage = "NAME|URL|FILE...",
        .summary = "fetch an image of the App Container kind, if somebody trusted has signed it",
        .description =
            "NAME[:VERSION][,LABEL=VALUE...] begins with a domain, whose web pages say where the image is "
            "(ac-discovery). A signature by a key of cooper trust for the name in the image must be beside it. A name "
            "with a port or a digest, one without a domain, and docker://NAME go to image pull. "
            "Of several the first that fails is the last that is tried.",
        .flags = {kFetchFlags, kPullFlags, kRegistryFlags},
        .min_args = 1,
        .handler = fetch_image,
        .needs = Needs::kOwners,
        .completes = Completes::kFiles},
       {.path = "image policy",
        .usage = "[IMAGE]",
        .summary = "show which images are taken, and what is required of one",
        .description = "IMAGE is a name as for image pull, or KIND:PATH of a file or a directory: oci, oci-archive, "
                       "docker-archive, tarball, aci, dir, sif, squashfs, erofs. Nothing is fetched or checked.",
        .flags = {kPolicyFlags},
        .max_args = 1,
        .handler = show_policy,
        .completes = Completes::kImages},
       {.path = "image push",
        .usage = "IMAGE [DESTINATION]",
        .summary = "send an image to a registry",
        .description =
            "DESTINATION is registry[:port]/name[:tag]; without it the image's own name is taken. Sent is what the "
            "registry lacks, as it is stored, and the manifest last. Mirrors are passed over. Schemes and credentials "
            "are those of image pull. It may be oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME] or "
            "dir:DIR as well, which are written as by image save; a layout that is there gets the image beside others.",
        .flags = {kPushFlags, kRegistryFlags},
        .min_args = 1,
        .max_args = 2,
        .handler = push,
        .needs = Needs::kImages,
        .completes = Completes::kImages},
       extract_command(),
       render_command(),
       export_command()}};
  return kCommands;
}

const Command& ls_command() {
  static const Command kCommand = {
      .path = "image ls",
      .usage = "[NAME[:TAG]|PATTERN]",
      .summary = "list images, all or those of a name",
      .description =
          "SIZE is that of the image's layers, uncompressed; in the store they may take less, and images "
          "share them. A PATTERN has *, ? or [...], which match no slash, and is held against names with "
          "and without registry and tag.",
      .flags = {kLsFlags},
      .max_args = 1,
      .handler = list_images,
      .needs = Needs::kImages,
      .completes = Completes::kImages,
      .templates = true};
  return kCommand;
}

const Command& inspect_command() {
  static const Command kCommand = {.path = "image inspect",
                                   .usage = "IMAGE...",
                                   .summary = "print images and their configurations as JSON",
                                   .min_args = 1,
                                   .handler = inspect_images,
                                   .needs = Needs::kImages,
                                   .completes = Completes::kImages,
                                   .templates = true};
  return kCommand;
}

const Command& verify_command() {
  static const Command kCommand = {
      .path = "image verify",
      .usage = "[IMAGE...]",
      .summary = "check blobs and unpacked trees, of all images or some",
      .description =
          "Every blob is read and its digest computed. The unpacked tree is compared with what the layers say: "
          "contents, types, modes, owners, times, extended attributes, targets of links, which names are one file, "
          "and what is missing or extra. Containers may run meanwhile.",
      .flags = {kVerifyFlags},
      .handler = verify,
      .needs = Needs::kOwners,
      .exits =
          "0 when all is good (with --repair: when it is now), 2 when an image is damaged, 1 when that could not "
          "be found out, or 125 for a wrong command line",
      .completes = Completes::kImages};
  return kCommand;
}

// Images that are here.
std::span<const Command> image_commands() {
  static const std::array<Command, 13> kCommands = {{
      ls_command(),
      inspect_command(),
      {.path = "image history",
       .usage = "IMAGE",
       .summary = "show what an image was made of, newest first",
       .description = "SIZE is that of the layer a step has made, uncompressed; steps that made none have no size.",
       .flags = {kHistoryFlags},
       .min_args = 1,
       .max_args = 1,
       .handler = history,
       .needs = Needs::kImages,
       .completes = Completes::kImages},
      {.path = "image tree",
       .usage = "[IMAGE...]",
       .summary = "show the layers of images, and which other images have them",
       .description = "Layers are listed base first. Without an image all are shown.",
       .flags = {kTreeFlags},
       .handler = tree,
       .needs = Needs::kImages,
       .completes = Completes::kImages},
      {.path = "image diff",
       .usage = "IMAGE IMAGE",
       .summary = "show what the second image has added (A), changed (C) and removed (D)",
       .description = "Their layers are compared: contents, types, modes, owners, times of files, extended attributes, "
                      "targets of links, and which names are one file.",
       .min_args = 2,
       .max_args = 2,
       .handler = diff,
       .needs = Needs::kImages,
       .completes = Completes::kImages},
      verify_command(),
      {.path = "image df",
       .summary = "show what the store takes on the disk",
       .description = "RECLAIMABLE is what image gc would free.",
       .max_args = 0,
       .handler = df,
       .needs = Needs::kOwners},
      {.path = "image rm",
       .usage = "IMAGE...",
       .summary = "remove names, and images that have none left",
       .flags = {kRmFlags},
       .handler = rm,
       .needs = Needs::kOwners,
       .completes = Completes::kImages},
      {.path = "image tag",
       .usage = "IMAGE NAME...",
       .summary = "give an image further names",
       .min_args = 2,
       .handler = tag,
       .needs = Needs::kImages,
       .completes = Completes::kImages},
      {.path = "image untag",
       .usage = "IMAGE [NAME...]",
       .summary = "take names away from an image, all or some; the image stays",
       .description = "An image without a name is found by its id, until image gc removes it.",
       .min_args = 1,
       .handler = untag,
       .needs = Needs::kImages,
       .completes = Completes::kImages},
      {.path = "image exists",
       .usage = "IMAGE",
       .summary = "tell by the exit status whether the store has an image",
       .min_args = 1,
       .max_args = 1,
       .handler = exists,
       .needs = Needs::kImages,
       .exits = "0 when it is there, 1 when it is not, or 125 for a wrong command line",
       .completes = Completes::kImages},
      {.path = "image cat-manifest",
       .usage = "IMAGE",
       .summary = "print an image's manifest as it is stored",
       .flags = {kCatFlags},
       .min_args = 1,
       .max_args = 1,
       .handler = cat_manifest,
       .needs = Needs::kImages,
       .completes = Completes::kImages},
      {.path = "image gc",
       .summary = "remove what nothing refers to",
       .description = "Images without a name (<none> in the list) go, unless a container uses them; so does what "
                      "interrupted loads and removed images left.",
       .flags = {kGcFlags},
       .max_args = 0,
       .handler = image_gc,
       .needs = Needs::kOwners},
  }};
  return kCommands;
}

}  // namespace cooper::cli
