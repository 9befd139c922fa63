#include "container/lsm.h"

#include <linux/magic.h>
#include <sys/statfs.h>

#include "io/file.h"

namespace cooper::container {

bool apparmor_enabled() {
  const auto text = io::read_file("/sys/module/apparmor/parameters/enabled", 16);
  return text.ok() && text->starts_with('Y');
}

bool selinux_enabled() {
  struct statfs info = {};
  // Mounted only once a policy is loaded; the magic tells it from a directory of that name.
  return ::statfs("/sys/fs/selinux", &info) == 0 && static_cast<unsigned long>(info.f_type) == SELINUX_MAGIC;
}

}  // namespace cooper::container
