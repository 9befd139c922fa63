// Volumes of a pod: empty ones get what the image has in their place; host directories may be given to the app's user.
#pragma once

#include <string>

#include "base/error.h"
#include "base/fd.h"
#include "io/root_dir.h"
#include "stage1/flavor.h"

namespace cooper::pod {

// Makes <volumes>/<pod_volume> with the content (and owner and mode) of the app's path in the image; an empty directory
// of root when the image has nothing there, or with the option nocopy. Owners are mapped. Needs root: owners and device
// nodes are kept.
Status make_volume(BorrowedFd volumes, const stage1::Volume& volume, const io::RootDir& tree,
                   const stage1::IdMaps& maps);

// -v SRC:DST:U: the source and all below it get the owner. Links themselves are changed, not what they point to; other
// file systems mounted below are left alone.
Status give_to_user(const std::string& path, std::uint32_t uid, std::uint32_t gid);

}  // namespace cooper::pod
