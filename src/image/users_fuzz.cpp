// An image's passwd and group files and the user it names, as arbitrary bytes: no crash, and numbers that are ids.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "image/internal/test_fixture.h"
#include "image/store.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // The first line is the user; an empty line divides the files.
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string_view user = text.substr(0, text.find('\n'));
  const std::string_view files = text.size() > user.size() ? text.substr(user.size() + 1) : std::string_view();
  const std::string_view passwd = files.substr(0, files.find("\n\n"));
  const std::string_view group = files.size() > passwd.size() ? files.substr(passwd.size() + 1) : std::string_view();
  static const cooper::image::ScratchDir scratch;
  cooper::image::write_test_file(scratch / "etc/passwd", std::string(passwd));
  cooper::image::write_test_file(scratch / "etc/group", std::string(group));
  const auto root = cooper::sys::openat(cooper::sys::kCwd, scratch.path(), O_PATH | O_DIRECTORY);
  COOPER_ASSERT(root.ok());
  const auto resolved = cooper::image::resolve_user(*root, user);
  if (!resolved.ok()) return 0;
  COOPER_ASSERT(resolved->uid != 0xffffffffU && resolved->gid != 0xffffffffU);
  for (const auto gid : resolved->additional_gids) COOPER_ASSERT(gid != 0xffffffffU);
  return 0;
}
