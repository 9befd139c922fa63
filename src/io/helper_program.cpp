#include "io/helper_program.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <vector>

#include "base/strings.h"
#include "sys/file.h"

namespace cooper::io {
namespace {

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

Result<std::string> find_helper(std::string_view name, const std::string& configured, std::string_view setting) {
  if (!configured.empty()) {
    if (is_program(configured)) return configured;
    return Error(Errc::kNotFound,
                 quoted(setting) + " of the configuration, " + quoted(configured) + ", is not an executable file");
  }
  std::vector<std::string> directories = program_directories();
  for (const std::string& dir : program_directories()) directories.push_back(dir + "/../libexec/cooper");
  directories.insert(directories.end(), {"/usr/local/libexec/cooper", "/usr/libexec/cooper"});
  for (const std::string& dir : directories) {
    std::string candidate = dir + "/" + std::string(name);
    if (!dir.empty() && is_program(candidate)) return candidate;
  }
  return Error(Errc::kNotFound, "cannot find " + quoted(name))
      .with_hint("set " + quoted(setting) + " in the configuration file");
}

}  // namespace cooper::io
