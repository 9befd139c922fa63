#include "cli/cooper/insecure_options.h"

#include <algorithm>
#include <array>

#include "base/strings.h"

namespace cooper::cli {
namespace {

struct Word {
  std::string_view name;
  InsecureOptions options;
};
constexpr InsecureOptions kAll = {.image = true, .tls = true, .http = true, .pubkey = true};
constexpr std::array<Word, 8> kWords = {{{"none", {}},
                                         {"image", {.image = true}},
                                         {"tls", {.tls = true}},
                                         {"http", {.http = true}},
                                         {"pubkey", {.pubkey = true}},
                                         {"all", kAll},
                                         {"all-fetch", kAll},
                                         // What is on the disk was checked when it came there.
                                         {"ondisk", {}}}};

}  // namespace

Result<InsecureOptions> parse_insecure_options(std::string_view text) {
  InsecureOptions out;
  for (const std::string_view untrimmed : split(text, ',')) {
    const std::string_view name = trim(untrimmed);
    const auto* word = std::ranges::find(kWords, name, &Word::name);
    if (word == kWords.end()) {
      Error error(Errc::kInvalidArgument, "--insecure-options does not know " + quoted(name));
      if (name == "capabilities" || name == "paths" || name == "seccomp" || name == "all-run")
        return std::move(error).with_hint("how a container is confined is for cooper run: --cap-add, --security-opt");
      return std::move(error).with_hint("there are none, image, tls, http, pubkey, all-fetch and all");
    }
    out.image = out.image || word->options.image;
    out.tls = out.tls || word->options.tls;
    out.http = out.http || word->options.http;
    out.pubkey = out.pubkey || word->options.pubkey;
  }
  return out;
}

Result<InsecureOptions> insecure_options(const Args& args) {
  return parse_insecure_options(args.has("insecure-options") ? join(args.all("insecure-options"), ",") : "none");
}

}  // namespace cooper::cli
