// Pod names: <root>/pods/names/<name> is a symlink to the uuid, and making it is what takes the name.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "pod/layout.h"

namespace cooper::pod {

inline constexpr std::size_t kMaxNameBytes = 128;

// Letters, digits, '_', '.', '-', first one alphanumeric. A full uuid is refused: it would hide a pod.
Status check_name(std::string_view name);
// "busybox-1a2b3c4d": what a pod is called when the user has no wish.
std::string default_name(std::string_view app, const PodUuid& uuid);

// Takes the name for the pod, which must exist. A name whose pod is gone (or only garbage) is taken over.
// Errc::kAlreadyExists names the pod that has it.
Status take_name(const Layout& layout, const std::string& name, const PodUuid& uuid);
// Gives it back if it is the pod's. Missing or somebody else's: fine.
Status release_name(const Layout& layout, const std::string& name, const PodUuid& uuid);
// The pod that has the name; nullopt when nobody does.
Result<std::optional<PodUuid>> lookup_name(const Layout& layout, const std::string& name);
// Removes names whose pod is gone; returns them.
Result<std::vector<std::string>> remove_stale_names(const Layout& layout);

}  // namespace cooper::pod
