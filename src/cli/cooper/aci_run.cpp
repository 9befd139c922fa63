#include "cli/cooper/aci_run.h"

#include <algorithm>

#include "base/strings.h"
#include "cli/cooper/aci_fetch.h"
#include "cli/cooper/aci_intake.h"
#include "log/log.h"

namespace cooper::cli {
namespace {

// The word itself or the image's name, if the store finds this image under it.
std::string word_for(const image::Store& store, const std::string& word, const image::Image& image) {
  std::vector<std::string> words = {word};
  words.insert(words.end(), image.given_names.begin(), image.given_names.end());
  words.insert(words.end(), image.names.begin(), image.names.end());
  const auto names_it = [&](const std::string& one) {
    if (classify_image_word(one) == ImageWord::kAddress) return false;
    const auto found = store.find(one);
    return found.ok() && found->id == image.id;
  };
  const auto named = std::ranges::find_if(words, names_it);
  return named == words.end() ? image.id.str() : *named;
}

class AciRun {
 public:
  AciRun(const Context& context, image::Store& store, AciWish wish)
      : context_(context), store_(store), wish_(std::move(wish)) {}

  Status bring(pod::AppRequest& app, const std::string& signature) {
    ASSIGN_OR_RETURN(auto known, known_image(store_, app.image));
    const ImageWord kind = classify_image_word(app.image);
    if (kind == ImageWord::kName && known && app.pull == pod::Pull::kMissing) return {};
    if (kind == ImageWord::kName && app.pull == pod::Pull::kNever) return {};
    if (kind == ImageWord::kAddress && app.pull == pod::Pull::kNever) {
      if (known) return use(app, *known);
      return Error(Errc::kNotFound, "the store has nothing from there that it remembers, and nothing may be fetched")
          .with_hint("name the image, or use --pull-policy=new");
    }
    AciWish wish = wish_;
    wish.request.word = app.image;
    wish.request.signature = signature;
    auto images = bring_aci(context_, store_, std::move(wish));
    if (!images.ok() && known && app.pull == pod::Pull::kNewer) {
      log::warning(images.error().message() + "; image " + quoted(app.image) + " is used as it is here");
      return use(app, *known);
    }
    if (!images.ok()) return std::move(images).error();
    return use(app, images->front());
  }

 private:
  Status use(pod::AppRequest& app, const image::Image& image) {
    app.image = word_for(store_, app.image, image);
    app.pull = pod::Pull::kNever;
    return {};
  }

  const Context& context_;
  image::Store& store_;
  AciWish wish_;
};

}  // namespace

Result<std::optional<image::Image>> known_image(const image::Store& store, const std::string& word) {
  if (classify_image_word(word) == ImageWord::kFile) return std::optional<image::Image>();
  std::string name = word;
  if (classify_image_word(word) == ImageWord::kAddress) {
    ASSIGN_OR_RETURN(const auto origin, store.origin(word));
    if (!origin) return std::optional<image::Image>();
    name = origin->image.str();
  }
  auto found = store.find(name);
  if (found.ok()) return std::optional(std::move(*found));
  if (found.error().code() == Errc::kNotFound) return std::optional<image::Image>();
  return std::move(found).error();
}

Result<std::optional<pod::Pull>> pull_policy_flags(const Args& args) {
  const auto text = args.last("pull-policy");
  const bool update = args.enabled("no-store");
  const bool never = args.enabled("store-only");
  if (update && never) return Error(Errc::kInvalidArgument, "--store-only and --no-store cannot be given together");
  if ((text || args.has("pull")) && (update || never))
    return Error(Errc::kInvalidArgument,
                 std::string(update ? "--no-store" : "--store-only") + " is a policy, and another one is given");
  if (text && args.has("pull"))
    return Error(Errc::kInvalidArgument, "--pull and --pull-policy say the same in other words: give one of them");
  if (update || text == "update") return std::optional(pod::Pull::kAlways);
  if (never || text == "never") return std::optional(pod::Pull::kNever);
  if (text == "new") return std::optional(pod::Pull::kMissing);
  if (text) return Error(Errc::kInvalidArgument, "--pull-policy " + quoted(*text) + ": must be new, update or never");
  return std::optional<pod::Pull>();
}

Status bring_acis(const Context& context, const pod::Engine& engine, const Args& args, const RegistryAccess& registry,
                  std::vector<pod::AppRequest>& apps, const std::vector<std::string>& signatures,
                  const std::function<void()>& before_end) {
  AciWish wish{.request = {.word = {}},
               .registry = registry,
               .signature_policy = args.last("signature-policy").value_or(""),
               .before_end = before_end};
  ASSIGN_OR_RETURN(wish.request.insecure, insecure_options(args, Doing::kRun));
  wish.request.trust_keys_from_https = args.enabled("trust-keys-from-https");
  const InsecureOptions& insecure = wish.request.insecure;
  const bool speaks_of_acis =
      insecure.image || insecure.tls || insecure.http || insecure.pubkey || wish.request.trust_keys_from_https;
  std::optional<image::Store> store;
  for (std::size_t i = 0; i < apps.size(); ++i) {
    pod::AppRequest& app = apps[i];
    const std::string& signature = signatures[i];
    // Nothing is fetched, whatever it is; no file of the configuration has to be right for that.
    const bool by_name = signature.empty() && classify_image_word(app.image) == ImageWord::kName;
    if (by_name && app.pull == pod::Pull::kNever) continue;
    if (!store && by_name && app.pull == pod::Pull::kMissing) {
      ASSIGN_OR_RETURN(image::Store opened, engine.images());
      store.emplace(std::move(opened));
    }
    if (by_name && app.pull == pod::Pull::kMissing && store->find(app.image).ok()) continue;
    ASSIGN_OR_RETURN(const bool aci, means_aci(context, app.image, speaks_of_acis || !signature.empty()));
    if (!aci && !signature.empty())
      return Error(Errc::kInvalidArgument, "--signature is of an ACI, and " + quoted(app.image) + " names none");
    if (!aci) continue;
    if (!store) {
      ASSIGN_OR_RETURN(image::Store opened, engine.images());
      store.emplace(std::move(opened));
    }
    Status brought = AciRun(context, *store, wish).bring(app, signature);
    if (!brought.ok()) return std::move(brought).error().with("image " + quoted(app.image));
  }
  return {};
}

}  // namespace cooper::cli
