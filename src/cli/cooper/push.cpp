#include "cli/cooper/push.h"

#include <optional>
#include <string>
#include <utility>

#include "base/strings.h"
#include "cli/cooper/image_place.h"
#include "cli/cooper/image_save.h"
#include "cli/cooper/output.h"
#include "cli/cooper/registry_session.h"
#include "codec/json.h"
#include "image/store.h"
#include "io/new_file.h"
#include "sys/file.h"

namespace cooper::cli {

constexpr std::array<Flag, 1> kPushFlags = {{
    {"digestfile", 0, "FILE", "write the digest of the manifest to this file", Flag::Complete::kFile},
}};

namespace {

// Made before anything is sent: a place that cannot be written to is a wrong command line.
Result<std::optional<io::NewFile>> open_digest_file(const Args& args) {
  const auto path = args.last("digestfile");
  if (!path) return std::optional<io::NewFile>();
  auto file = io::NewFile::create(*path);
  if (!file.ok()) return Error(Errc::kInvalidArgument, "--digestfile: " + file.error().message());
  return std::optional(std::move(*file));
}

Status write_digest_file(io::NewFile& file, const Digest& digest) {
  Status written = sys::write_all(file.fd(), digest.str());
  if (written.ok()) written = file.publish();
  if (!written.ok()) return std::move(written).error().with("the image was pushed, but --digestfile");
  return {};
}

// The image's own name, when that names a registry.
Result<oci_image::Reference> own_destination(const std::string& image, const std::optional<std::string>& name) {
  const std::string hint = "say where to: cooper image push " + image + " REGISTRY/NAME:TAG";
  if (!name)
    return Error(Errc::kInvalidArgument, "image " + quoted(image) + " is given without its name").with_hint(hint);
  ASSIGN_OR_RETURN(oci_image::Reference reference, oci_image::parse_reference(*name));
  if (reference.registry != oci_image::kLocalRegistry) return reference;
  return Error(Errc::kInvalidArgument, "image " + quoted(*name) + " has a name of this machine only").with_hint(hint);
}

Status report(const Context& context, const std::string& destination, const image::PushResult& pushed, bool quiet) {
  if (context.json()) {
    codec::json::Writer out = context.json_writer();
    out.begin_object()
        .field("destination", destination)
        .field("manifest_digest", pushed.manifest_digest.str())
        .field("was_there", pushed.was_there)
        .field("sent_blobs", static_cast<std::uint64_t>(pushed.sent_blobs))
        .field("sent_bytes", pushed.sent_bytes)
        .end_object();
    return print_json(out);
  }
  if (quiet) return print(pushed.manifest_digest.str() + "\n");
  return print((pushed.was_there ? "Image is up to date: " : "Pushed image: ") + destination + "\n");
}

}  // namespace

Result<oci_image::Reference> push_destination(const std::string& text) {
  if (is_foreign_place(text)) {
    return Error(Errc::kInvalidArgument, "destination " + quoted(text) + " is of another program's store")
        .with_hint("that program takes it from a pipe: cooper image save IMAGE | podman load, or docker load");
  }
  if (text.starts_with('.') || text.starts_with('/')) {
    return Error(Errc::kInvalidArgument, "destination " + quoted(text) + " is a path, and no image in a registry")
        .with_hint("say what to make there: oci:" + text + ", or oci-archive:, docker-archive: or dir: before it");
  }
  return full_reference(text);
}

namespace {

// The words are often given in the order of a tag: from where it is called so, to what it is.
Error explain_swap(Error error, const image::Store& store, const Args& args) {
  if (error.code() != Errc::kNotFound || args.positional().size() < 2) return error;
  const std::string& second = args.positional()[1];
  if (!store.find(second).ok()) return error;
  return std::move(error).with_hint(quoted(second) + " is in the store: the image comes first, then where to, as in " +
                                    "cooper image push " + second + " " + args.positional().front());
}

// What lies here, instead of a registry.
Result<int> push_to_place(const Context& context, const Args& args, const SaveTarget& target) {
  const bool has_manifest =
      target.transport != image::Transport::kDockerArchive && target.transport != image::Transport::kAci;
  if (args.has("digestfile") && !has_manifest)
    return Error(Errc::kInvalidArgument,
                 "--digestfile: there is no manifest in " + std::string(word_of(target.transport)));
  ASSIGN_OR_RETURN(auto digest_file, open_digest_file(args));
  const bool quiet = args.enabled("quiet");
  ASSIGN_OR_RETURN(const image::SaveResult saved, write_to(context, {args.positional().front()}, target, quiet));
  const std::string& destination = args.positional()[1];
  image::PushResult pushed{.manifest_digest = saved.images.front().manifest_digest};
  pushed.sent_bytes = saved.size_bytes;
  if (digest_file) RETURN_IF_ERROR(write_digest_file(*digest_file, pushed.manifest_digest));
  RETURN_IF_ERROR(report(context, destination, pushed, quiet));
  return 0;
}

}  // namespace

Result<int> push(const Context& context, const Args& args) {
  const std::string& image = args.positional().front();
  RETURN_IF_ERROR(image::Store::check_reference(image));
  if (args.positional().size() > 1) {
    ASSIGN_OR_RETURN(const auto place, written_place(args.positional()[1]));
    if (place) return push_to_place(context, args, *place);
  }
  std::optional<oci_image::Reference> destination;
  if (args.positional().size() > 1) {
    ASSIGN_OR_RETURN(destination, push_destination(args.positional()[1]));
  }
  ASSIGN_OR_RETURN(const RegistryAccess access, registry_access(args));
  ASSIGN_OR_RETURN(auto digest_file, open_digest_file(args));
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  ASSIGN_OR_RETURN(const image::Store store, engine.images());
  auto found_or = store.find_named(image);
  if (!found_or.ok()) return explain_swap(std::move(found_or).error(), store, args);
  auto& found = *found_or;
  if (!destination) {
    ASSIGN_OR_RETURN(destination, own_destination(image, found.second));
  }
  RegistrySession session(context, *destination, access, RegistrySession::For::kPush);
  auto pushed = store.push({.image = std::move(found.first), .destination = *destination},
                           [&](image::FetchFrom from) { return session.start(from); });
  if (!pushed.ok()) {
    digest_file.reset();
    session.end_if_cancelled(pushed.error());
    return std::move(pushed).error();
  }
  if (digest_file) RETURN_IF_ERROR(write_digest_file(*digest_file, pushed->manifest_digest));
  RETURN_IF_ERROR(report(context, destination->str(), *pushed, access.quiet));
  return 0;
}

}  // namespace cooper::cli
