// Which ids of the host pods have: <root>/pods/id-ranges/<first>-<count>@<uuid> stands for a range of a pod, from its
// preparation until it is removed, because files on the disk belong to these ids. The directory is made by the first
// pod with a user namespace; its lock is held while a range is chosen and noted.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/ids.h"
#include "pod/id_maps.h"
#include "pod/layout.h"
#include "pod/pod.h"

namespace cooper::pod {

// The maps that the request asks for. With kAuto a range that no pod has, chosen by chance (so that engines with
// different roots hardly ever choose the same):
// - of what subuid(5) and subgid(5) both give to the user "containers", if they know one, as podman does;
// - otherwise of 524288 to 1879048191, which systemd keeps for containers, without what they give to anybody.
// Errc::kLimit: none is free. Nothing is noted.
Result<stage1::IdMaps> choose_id_maps(const Layout& layout, const UserNamespace& request);
// The same, and notes them for the pod, which must exist.
Result<stage1::IdMaps> take_id_maps(const Layout& layout, const UserNamespace& request, const PodUuid& uuid);
// The notes survive a power cut.
Status flush_id_ranges(const Layout& layout);
Status release_id_ranges(const Layout& layout, const PodUuid& uuid);

struct NotedRange {
  std::string name;  // of the file
  IdRange range;
  PodUuid uuid;
};
std::optional<NotedRange> parse_noted_range(std::string_view name);
// Of all pods; also of those that a killed process never made or removed halfway.
Result<std::vector<NotedRange>> noted_ranges(const Layout& layout);
// Removes one; somebody else may have done it.
Status forget_range(const Layout& layout, const std::string& name);

}  // namespace cooper::pod
