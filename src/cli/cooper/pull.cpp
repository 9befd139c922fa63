#include "cli/cooper/pull.h"

#include <utility>

#include "base/strings.h"
#include "cli/cooper/aci_fetch.h"
#include "cli/cooper/command.h"
#include "cli/cooper/describe.h"
#include "cli/cooper/image_place.h"
#include "cli/cooper/image_policy.h"
#include "cli/cooper/load_watch.h"
#include "cli/cooper/output.h"
#include "cli/cooper/target.h"
#include "spec/oci_image/platform.h"

namespace cooper::cli {

constexpr std::array<Flag, 3> kPullFlags = {{
    {"platform", 0, "OS/ARCH[/VARIANT]", "which image of several (default: this machine's)"},
    {"arch", 0, "ARCH", "as --platform, of this operating system or that of --os"},
    {"os", 0, "OS", "as --platform, of this architecture or that of --arch"},
}};

namespace {

// Where the signatures are that have to be fetched; what lies in files is not asked for.
Status ask_lookaside(RegistrySession& session, const policy::Gate& gate, const oci_image::Reference& reference) {
  ASSIGN_OR_RETURN(policy::Places places, gate.places(reference));
  if (!places.lookaside.empty() && !places.lookaside.starts_with("file:"))
    session.also_ask(std::move(places.lookaside));
  return {};
}

Result<image::PullResult> pull_one(const Context& context, image::Store& store, const WantedImage& request,
                                   const oci_image::Reference& reference) {
  ASSIGN_OR_RETURN(const policy::Gate gate, open_gate(context, request.signature_policy));
  auto signatures = gate.enter(policy::registry_subject(reference), true);
  if (!signatures.ok()) return std::move(signatures).error().with("pull " + quoted(reference.str()));
  RegistrySession session(context, reference, request.access, RegistrySession::For::kPull);
  image::PullOptions options{.reference = reference, .platform = request.platform, .mend = request.mend};
  if (*signatures) {
    RETURN_IF_ERROR(ask_lookaside(session, gate, reference));
    options.admit = [&](std::string_view manifest, const Digest& digest, fetch::Client& client) {
      return gate.admit(reference, manifest, digest, client, session.cancel());
    };
  }
  auto pulled = store.pull(options, [&](image::FetchFrom from) { return session.start(from); });
  if (!pulled.ok() && pulled.error().code() == Errc::kCancelled) {
    if (request.before_end) request.before_end();
    session.end_if_cancelled(pulled.error());
  }
  return pulled;
}

struct Pulled {
  std::string name;
  image::PullResult result;
};

// What one argument asks for: an image of a registry, whose short name may stand for several, or what lies here.
struct Asked {
  std::vector<oci_image::Reference> names = {};
  std::optional<ImagePlace> place = {};
};

Result<Asked> ask_for(const std::string& word) {
  ASSIGN_OR_RETURN(const std::string text, image_word(word));
  constexpr std::string_view kRegistryScheme = "docker://";
  RETURN_IF_ERROR(check_readable_place(text));
  Asked out{.names = {}, .place = place_not_name(text)};
  const bool names_aci = text != word && !text.starts_with(kRegistryScheme);
  if (names_aci || (out.place && out.place->transport == image::Transport::kAci))
    return Error(Errc::kUnsupported, quoted(text) + " is of the App Container kind, which has signatures of its own")
        .with_hint("use cooper image fetch, or cooper image load");
  if (out.place) return out;
  const bool has_scheme = text.starts_with(kRegistryScheme);
  ASSIGN_OR_RETURN(out.names, registry_names(has_scheme ? text.substr(kRegistryScheme.size()) : text));
  return out;
}

Result<std::vector<Pulled>> load_place(const Context& context, image::Store& store, const WantedImage& request,
                                       const ImagePlace& place, bool single) {
  image::LoadOptions options;
  options.single = single;
  options.transport = place.transport;
  options.path = place.path;
  options.only = place.only;
  options.platform = request.platform;
  ASSIGN_OR_RETURN(const policy::Gate gate, open_gate(context, request.signature_policy));
  ASSIGN_OR_RETURN(const UniqueFd file, guard(options, gate));
  LoadWatch watch(request.access.quiet);
  RETURN_IF_ERROR(watch.begin(options));
  auto images = store.load(options);
  if (!images.ok() && images.error().code() == Errc::kCancelled && request.before_end) request.before_end();
  watch.end(images);
  if (!images.ok()) return std::move(images).error();
  std::vector<Pulled> out;
  for (image::Image& image : *images) {
    std::string name = image.given_names.empty() ? image.id.str() : image.given_names.front();
    out.push_back({.name = std::move(name), .result = {.image = std::move(image)}});
  }
  return out;
}

// Of what a short name may stand for the first that can be had.
Result<Pulled> pull_first(const Context& context, image::Store& store, const WantedImage& request,
                          const std::vector<oci_image::Reference>& names) {
  std::string before;
  for (std::size_t i = 0;; ++i) {
    auto pulled = pull_one(context, store, request, names[i]);
    if (pulled.ok()) return Pulled{names[i].str(), std::move(*pulled)};
    const Error& error = pulled.error();
    if (i + 1 == names.size() || error.code() == Errc::kNoSpace) {
      if (before.empty()) return std::move(pulled).error();
      return Error(error.code(), error.message() + before, error.errno_value()).with_hint(error.hint());
    }
    before += " (before that, " + error.message() + ")";
  }
}

}  // namespace

Result<image::PullResult> pull_image(const Context& context, image::Store& store, const WantedImage& request) {
  ASSIGN_OR_RETURN(const auto names, registry_names(request.image));
  ASSIGN_OR_RETURN(Pulled pulled, pull_first(context, store, request, names));
  return std::move(pulled.result);
}

pod::FetchImage image_fetcher(const Context& context, WantedImage wanted) {
  return [&context, wanted = std::move(wanted)](image::Store& store, const std::string& reference,
                                                pod::Fetch what) -> Result<image::Image> {
    WantedImage request = wanted;
    request.image = reference;
    request.mend = what == pod::Fetch::kMissingBytes;
    ASSIGN_OR_RETURN(image::PullResult pulled, pull_image(context, store, request));
    return std::move(pulled.image);
  };
}

Result<std::optional<oci_image::Platform>> platform_flags(const Args& args) {
  const auto whole = args.last("platform");
  const auto arch = args.last("arch");
  const auto os = args.last("os");
  if (whole && (arch || os)) return Error(Errc::kInvalidArgument, "--platform says what --arch and --os say");
  if (!whole && !arch && !os) return std::optional<oci_image::Platform>();
  const oci_image::Platform host = oci_image::host_platform();
  ASSIGN_OR_RETURN(auto platform, oci_image::parse_platform(
                                      whole ? *whole : os.value_or(host.os) + "/" + arch.value_or(host.architecture)));
  return std::optional(std::move(platform));
}

namespace {

void describe_pull(codec::json::Writer& out, const image::PullResult& pulled) {
  out.begin_object().key("image");
  describe_image(out, pulled.image);
  out.field("was_there", pulled.was_there)
      .field("fetched_layers", static_cast<std::uint64_t>(pulled.fetched_layers))
      .field("fetched_bytes", pulled.fetched_bytes)
      .end_object();
}

}  // namespace

namespace {

Result<std::vector<Pulled>> pull_asked(const Context& context, image::Store& store, const WantedImage& request,
                                       const Asked& asked) {
  if (asked.place) return load_place(context, store, request, *asked.place, false);
  ASSIGN_OR_RETURN(Pulled pulled, pull_first(context, store, request, asked.names));
  std::vector<Pulled> out;
  out.push_back(std::move(pulled));
  return out;
}

Status show_pulled(codec::json::Writer& out, const Context& context, const Pulled& pulled, bool quiet) {
  if (context.json()) {
    describe_pull(out, pulled.result);
    return {};
  }
  if (quiet) return print(pulled.result.image.id.str() + "\n");
  return print((pulled.result.was_there ? "Image is up to date: " : "Pulled image: ") + pulled.name + "\n");
}

}  // namespace

Status bring_places(const Context& context, const pod::Engine& engine, WantedImage wanted,
                    std::vector<pod::AppRequest>& apps) {
  for (pod::AppRequest& app : apps) {
    RETURN_IF_ERROR(check_readable_place(app.image));
    const auto place = place_not_name(app.image);
    if (!place || place->transport == image::Transport::kAci) continue;
    ASSIGN_OR_RETURN(image::Store store, engine.images());
    wanted.platform = app.platform;
    auto loaded = load_place(context, store, wanted, *place, true);
    if (!loaded.ok()) return std::move(loaded).error().with("image " + quoted(app.image));
    // Under its name, if it has brought one.
    app.image = loaded->front().name;
    app.pull = pod::Pull::kNever;
  }
  return {};
}

Result<int> pull(const Context& context, const Args& args) {
  std::vector<Asked> wanted;
  bool several = args.positional().size() > 1;
  for (const std::string& name : args.positional()) {
    ASSIGN_OR_RETURN(wanted.emplace_back(), ask_for(name));
    several = several || wanted.back().place;
  }
  WantedImage request;
  ASSIGN_OR_RETURN(request.platform, platform_flags(args));
  ASSIGN_OR_RETURN(request.access, registry_access(args));
  request.signature_policy = args.last("signature-policy").value_or("");
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  ASSIGN_OR_RETURN(image::Store store, engine.images());
  codec::json::Writer out = context.json_writer();
  if (several) out.begin_object().key("pulled").begin_array();
  int status = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    request.image = args.positional()[i];
    auto pulled = pull_asked(context, store, request, wanted[i]);
    if (!pulled.ok() && wanted.size() == 1) return std::move(pulled).error();
    if (!pulled.ok()) {
      report(context, pulled.error());
      status = kExitFailure;
      continue;
    }
    for (const Pulled& one : *pulled) RETURN_IF_ERROR(show_pulled(out, context, one, request.access.quiet));
  }
  if (several) out.end_array().end_object();
  if (context.json()) RETURN_IF_ERROR(print_json(out));
  return status;
}

}  // namespace cooper::cli
