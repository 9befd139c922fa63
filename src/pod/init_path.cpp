#include "io/helper_program.h"
#include "pod/run.h"

namespace cooper::pod {

Result<std::string> find_init(const EngineOptions& options) {
  return io::find_helper("cooper-init", options.init_path, "init_path");
}

}  // namespace cooper::pod
