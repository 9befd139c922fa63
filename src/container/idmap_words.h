// Mappings of an id-mapped mount as a mount option: "idmap=uids=0-1000-10#10-2000-1;gids=@0-5-10" (crun, podman).
#pragma once

#include <string_view>
#include <vector>

#include "base/error.h"
#include "spec/oci_runtime/types.h"

namespace cooper::container {

// container_id: ids of the file system; host_id: what they show as, an id of the host, or with `relative` ("@") an id
// of the container's user namespace.
struct IdmapRange {
  oci::IdMapping ids;
  bool relative = false;
};

struct IdmapWords {
  std::vector<IdmapRange> uids, gids;
  bool empty() const { return uids.empty() && gids.empty(); }
};

// "idmap", "ridmap", and both with "=" and mappings.
bool is_idmap_word(std::string_view option);

// What stands behind "idmap=" or "ridmap=". Both lists are needed: owners that no list names show as nobody.
Result<IdmapWords> parse_idmap_words(std::string_view text);

// The same with ids of the host alone. A relative range over several ranges of the user namespace is divided as they
// are. Fails when one of its ids is not mapped in there.
Result<std::vector<oci::IdMapping>> absolute_ranges(const std::vector<IdmapRange>& ranges,
                                                    const std::vector<oci::IdMapping>& user_namespace);

struct HostRanges {
  std::vector<oci::IdMapping> uids, gids;
};
// Both lists, for a container: without a user namespace relative ranges are not mapped.
Result<HostRanges> absolute_ranges(const IdmapWords& words, const oci::Config& config);

}  // namespace cooper::container
