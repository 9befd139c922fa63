#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/strings.h"
#include "pod/run.h"
#include "sys/file.h"

namespace cooper::pod {
namespace {

constexpr const char* kInitName = "cooper-init";

bool is_program(const std::string& path) {
  const auto info = sys::fstatat(sys::kCwd, path, 0);
  return info.ok() && S_ISREG(info->st_mode) && (info->st_mode & 0111) != 0;
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

// Where the program was called from. /proc/self/exe is the truth, unless the program runs from a private copy of its
// file: then the name it was called by tells.
std::vector<std::string> program_directories() {
  std::vector<std::string> out;
  if (const auto self = sys::readlinkat(sys::kCwd, "/proc/self/exe"); self.ok()) out.push_back(parent_of(*self));
  const std::string called = program_invocation_name;
  if (called.find('/') != std::string::npos) {
    char* real = ::realpath(called.c_str(), nullptr);
    if (real != nullptr) out.push_back(parent_of(real));
    ::free(real);
  } else if (const char* path = ::secure_getenv("PATH")) {
    for (const std::string_view dir : split(path, ':')) {
      const std::string candidate = std::string(dir) + "/" + called;
      if (!dir.starts_with('/') || !is_program(candidate)) continue;
      char* real = ::realpath(candidate.c_str(), nullptr);
      if (real != nullptr) out.push_back(parent_of(real));
      ::free(real);
      break;
    }
  }
  return out;
}

}  // namespace

Result<std::string> find_init(const EngineOptions& options) {
  if (!options.init_path.empty()) {
    if (is_program(options.init_path)) return options.init_path;
    return Error(Errc::kNotFound, "init program " + quoted(options.init_path) + " is not an executable file");
  }
  std::vector<std::string> directories = program_directories();
  for (const std::string& dir : program_directories()) directories.push_back(dir + "/../libexec/cooper");
  directories.insert(directories.end(), {"/usr/local/libexec/cooper", "/usr/libexec/cooper"});
  for (const std::string& dir : directories) {
    const std::string candidate = dir + "/" + kInitName;
    if (!dir.empty() && is_program(candidate)) return candidate;
  }
  return Error(Errc::kNotFound, "cannot find 'cooper-init'").with_hint("set 'init_path' in the configuration file");
}

}  // namespace cooper::pod
