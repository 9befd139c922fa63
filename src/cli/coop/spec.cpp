#include <fcntl.h>
#include <unistd.h>

#include "base/strings.h"
#include "cli/coop/commands.h"
#include "spec/oci_runtime/defaults.h"
#include "spec/oci_runtime/print.h"
#include "sys/file.h"

namespace cooper::cli::coop {

Result<int> run_spec(const Call& call) {
  oci::DefaultOptions options;
  options.rootless = call.arguments.flag("rootless");
  options.host_uid = ::geteuid();
  options.host_gid = ::getegid();
  const std::string path = call.arguments.value("bundle", ".") + "/config.json";
  auto file = sys::openat(sys::kCwd, path, O_WRONLY | O_CREAT | O_EXCL, 0666);
  if (!file.ok() && file.error().errno_value() == EEXIST) {
    return Error(Errc::kAlreadyExists, "file " + quoted(path) + " exists").with_hint("remove it first");
  }
  if (!file.ok()) return std::move(file).error();
  Status written = sys::write_all(*file, oci::print_config(oci::default_config(options)) + "\n");
  if (!written.ok()) {
    (void)::unlink(path.c_str());
    return std::move(written).error().with(quoted(path));
  }
  return 0;
}

}  // namespace cooper::cli::coop
