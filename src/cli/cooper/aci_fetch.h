// An image of the App Container kind, by its name, its address or its file, until its bytes are here and known to be
// who they should be from.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "cli/cooper/aci_trust.h"
#include "cli/cooper/insecure_options.h"
#include "cli/cooper/web_session.h"
#include "image/store.h"
#include "spec/appc/names.h"

namespace cooper::cli {

enum class ImageWord {
  kName,      // of an ACI, to be discovered
  kAddress,   // http:// or https://
  kFile,      // on this machine
  kRegistry,  // for image pull
};
// What a person means by the name of an image that is to be fetched.
ImageWord classify_image_word(const std::string& word);

// Where images of all kinds may be meant: an address, a file that is called .aci, and a name with labels behind commas
// are ACIs'. So is a name with a domain when keys are trusted for a prefix of it, when paths.d says where it is, or
// when the command line speaks of ACIs; all others are for image pull.
Result<bool> means_aci(const Context& context, const std::string& word, bool speaks_of_acis);

// A word in rkt's canonical form (spec/appc/cimd.h) as people write it; any other as it is.
Result<std::string> image_word(const std::string& word);

// The path of a file.
std::string file_of(const std::string& word);

struct AciRequest {
  std::string word;
  std::string signature = {};  // a file or an address; empty: where it belongs
  InsecureOptions insecure = {};
  bool trust_keys_from_https = false;
  // That remembers what came from which address, and is asked about it first; none: everything is fetched.
  const image::Store* store = nullptr;
  // Of a file: the one that a policy has been asked about; none: whatever has that name.
  BorrowedFd file{-1};
  // More does not come.
  std::uint64_t max_bytes = std::uint64_t{64} << 30;
};

struct FetchedAci {
  UniqueFd file;
  std::string from;  // an address or a path
  appc::ImageManifest manifest;
  std::vector<trust::Signature> signatures;  // empty: nobody asked for one
  // What the store shall remember of an address; its image is not known yet when the file is there.
  std::optional<image::Origin> origin = {};
  // The server has nothing newer than what the store has: there is no file.
  bool unchanged = false;
};

// A regular file, and nothing else; a device is not opened.
Result<UniqueFd> open_image_file(const std::string& path);

// Errors say what was looked for and where. Nothing is kept of what was refused.
Result<FetchedAci> fetch_aci(const Context& context, WebSession& web, const AciRequest& request);

struct KeyFile {
  std::string place;  // a path or an address
  std::string bytes;
};
// The key files that a domain names for images of that name.
Result<std::vector<KeyFile>> discover_keys(WebSession& web, const std::string& name, WebSession::Over over);

}  // namespace cooper::cli
