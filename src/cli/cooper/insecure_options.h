// --insecure-options: what of the usual care is left out when images are fetched and loaded, in rkt's words.
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
};

inline constexpr Flag kInsecureFlag = {"insecure-options",
                                       0,
                                       "LIST",
                                       "what to do without, by commas: image (signatures), tls (certificates), http, "
                                       "pubkey (https, of images and of keys), "
                                       "all-fetch or all; none is the default",
                                       Flag::Complete::kWords,
                                       "none image tls http pubkey all-fetch all"};

// Words separated by commas; the flag may be given again.
Result<InsecureOptions> parse_insecure_options(std::string_view text);
Result<InsecureOptions> insecure_options(const Args& args);

}  // namespace cooper::cli
