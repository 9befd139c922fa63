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
constexpr InsecureOptions kAllFetch = {.image = true, .tls = true, .http = true, .pubkey = true};
constexpr InsecureOptions kAllRun = {.capabilities = true, .paths = true, .seccomp = true};
constexpr std::array<Word, 12> kWords = {{{"none", {}},
                                          {"image", {.image = true}},
                                          {"tls", {.tls = true}},
                                          {"http", {.http = true}},
                                          {"pubkey", {.pubkey = true}},
                                          {"all", {}},  // both
                                          {"all-fetch", kAllFetch},
                                          {"capabilities", {.capabilities = true}},
                                          {"paths", {.paths = true}},
                                          {"seccomp", {.seccomp = true}},
                                          {"all-run", kAllRun},
                                          // What is on the disk was checked when it came there.
                                          {"ondisk", {}}}};

void add(const InsecureOptions& more, InsecureOptions& out) {
  out.image = out.image || more.image;
  out.tls = out.tls || more.tls;
  out.http = out.http || more.http;
  out.pubkey = out.pubkey || more.pubkey;
  out.capabilities = out.capabilities || more.capabilities;
  out.paths = out.paths || more.paths;
  out.seccomp = out.seccomp || more.seccomp;
}

}  // namespace

Result<InsecureOptions> parse_insecure_options(std::string_view text, Doing doing) {
  InsecureOptions out;
  for (const std::string_view untrimmed : split(text, ',')) {
    const std::string_view name = trim(untrimmed);
    const auto* word = std::ranges::find(kWords, name, &Word::name);
    const bool of_run =
        word != kWords.end() && (word->options.capabilities || word->options.paths || word->options.seccomp);
    if (of_run && doing == Doing::kFetch)
      return Error(Errc::kInvalidArgument, "--insecure-options " + quoted(name) + " is for what is run, and nothing is")
          .with_hint("give it to cooper run or cooper pod run");
    if (word == kWords.end())
      return Error(Errc::kInvalidArgument, "--insecure-options does not know " + quoted(name))
          .with_hint("the words are: none, image, tls, http, pubkey, ondisk, all-fetch, all" +
                     std::string(doing == Doing::kRun ? ", capabilities, paths, seccomp and all-run" : ""));
    add(word->options, out);
    if (name != "all") continue;
    add(kAllFetch, out);
    if (doing == Doing::kRun) add(kAllRun, out);
  }
  return out;
}

Result<InsecureOptions> insecure_options(const Args& args, Doing doing) {
  return parse_insecure_options(args.has("insecure-options") ? join(args.all("insecure-options"), ",") : "none", doing);
}

}  // namespace cooper::cli
