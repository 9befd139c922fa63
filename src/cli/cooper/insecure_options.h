// --insecure-options: what of the usual care is left out when images are fetched and loaded, and when they are run, in
// rkt's words.
#pragma once

#include <string_view>

#include "base/error.h"
#include "cli/cooper/args.h"

namespace cooper::cli {

struct InsecureOptions {
  bool image = false;   // signatures are not asked for
  bool tls = false;     // certificates may be anybody's
  bool http = false;    // plain http will do
  bool pubkey = false;  // for keys as well
  // Of what is run.
  bool capabilities = false;  // all of them
  bool paths = false;         // nothing is masked or read-only
  bool seccomp = false;       // no filter
};

inline constexpr Flag kInsecureRunFlag = {
    "insecure-options",
    0,
    "LIST",
    "what to do without, by commas: image, tls, http, pubkey (all-fetch) for an ACI that is fetched, as image fetch "
    "has "
    "it; capabilities, paths, seccomp (all-run) for what is run; all; none is the default",
    Flag::Complete::kWords,
    "none image tls http pubkey all-fetch capabilities paths seccomp all-run all"};

inline constexpr Flag kInsecureFlag = {"insecure-options",
                                       0,
                                       "LIST",
                                       "what to do without, by commas: image (signatures), tls (certificates), http, "
                                       "pubkey (https, of images and of keys), "
                                       "all-fetch or all; none is the default",
                                       Flag::Complete::kWords,
                                       "none image tls http pubkey all-fetch all"};

// Words separated by commas; the flag may be given again. kFetch: nothing is run, `all` is all-fetch.
enum class Doing { kFetch, kRun };
Result<InsecureOptions> parse_insecure_options(std::string_view text, Doing doing = Doing::kFetch);
Result<InsecureOptions> insecure_options(const Args& args, Doing doing = Doing::kFetch);

}  // namespace cooper::cli
