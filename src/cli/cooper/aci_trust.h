// Whose image an ACI is: the keys that are trusted for the name in its manifest have signed it, or it is refused.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "cli/cooper/command.h"
#include "spec/appc/types.h"
#include "trust/signature.h"

namespace cooper::cli {

// The manifest of an ACI, found in its archive, whatever that is compressed with. `what` names it in messages.
Result<appc::ImageManifest> read_aci_manifest(BorrowedFd file, const std::string& what);

// Whether an archive is an ACI rather than an image of another kind, by the first names in it.
Result<bool> is_aci(BorrowedFd file);

struct SignedAci {
  BorrowedFd file;
  std::string what;       // in messages
  std::string name;       // in its manifest
  std::string signature;  // armored or not
};
// Errors are those of trust::verify_detached.
Result<std::vector<trust::Signature>> check_aci(const Context& context, const SignedAci& image, BorrowedFd cancel);

// "signature verified: ..." for people.
std::string describe_signatures(const std::vector<trust::Signature>& signatures);

}  // namespace cooper::cli
