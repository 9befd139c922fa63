#include "cli/cooper/pull.h"

#include <utility>

#include "base/strings.h"
#include "cli/cooper/describe.h"
#include "cli/cooper/image_policy.h"
#include "cli/cooper/output.h"
#include "spec/oci_image/platform.h"

namespace cooper::cli {

constexpr std::array<Flag, 1> kPullFlags = {{
    {"platform", 0, "OS/ARCH[/VARIANT]", "which image of several (default: this machine's)"},
}};

namespace {

// Where the signatures are that have to be fetched; what lies in files is not asked for.
Status ask_lookaside(RegistrySession& session, const policy::Gate& gate, const oci_image::Reference& reference) {
  ASSIGN_OR_RETURN(policy::Places places, gate.places(reference));
  if (!places.lookaside.empty() && !places.lookaside.starts_with("file:"))
    session.also_ask(std::move(places.lookaside));
  return {};
}

}  // namespace

namespace {

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
  oci_image::Reference name;
  image::PullResult result;
};

// Of what a short name may stand for the first that can be had.
Result<Pulled> pull_first(const Context& context, image::Store& store, const WantedImage& request,
                          const std::vector<oci_image::Reference>& names) {
  std::string before;
  for (std::size_t i = 0;; ++i) {
    auto pulled = pull_one(context, store, request, names[i]);
    if (pulled.ok()) return Pulled{names[i], std::move(*pulled)};
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

Result<int> pull(const Context& context, const Args& args) {
  WantedImage request{.image = args.positional().front()};
  ASSIGN_OR_RETURN(const auto names, registry_names(request.image));
  if (const auto text = args.last("platform")) {
    ASSIGN_OR_RETURN(request.platform, oci_image::parse_platform(*text));
  }
  ASSIGN_OR_RETURN(request.access, registry_access(args));
  request.signature_policy = args.last("signature-policy").value_or("");
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  ASSIGN_OR_RETURN(image::Store store, engine.images());
  ASSIGN_OR_RETURN(const Pulled done, pull_first(context, store, request, names));
  const image::PullResult& pulled = done.result;
  if (context.json()) {
    codec::json::Writer out;
    out.begin_object().key("image");
    describe_image(out, pulled.image);
    out.field("was_there", pulled.was_there)
        .field("fetched_layers", static_cast<std::uint64_t>(pulled.fetched_layers))
        .field("fetched_bytes", pulled.fetched_bytes)
        .end_object();
    RETURN_IF_ERROR(print_json(out));
    return 0;
  }
  if (request.access.quiet) {
    RETURN_IF_ERROR(print(pulled.image.id.str() + "\n"));
    return 0;
  }
  RETURN_IF_ERROR(print((pulled.was_there ? "Image is up to date: " : "Pulled image: ") + done.name.str() + "\n"));
  return 0;
}

}  // namespace cooper::cli
