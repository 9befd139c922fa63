#include "cli/coop/version.h"

#include <commit.h>

#include "spec/oci_runtime/defaults.h"

namespace cooper::cli::coop {

std::string_view commit() {
  return COOPER_COMMIT;
}

std::string version_text() {
  std::string out = "coop version " COOPER_VERSION "\n";
  if (!commit().empty()) out += "commit: " + std::string(commit()) + "\n";
  return out + "spec: " + oci::kSpecVersion + "\n";
}

}  // namespace cooper::cli::coop
