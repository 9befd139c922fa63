#include "container/default_id_maps.h"

#include <unistd.h>

#include <utility>

#include "container/validate_rules.h"
#include "userns/maps.h"

namespace cooper::container {

bool fill_id_maps(oci::Config& config) {
  if (!config.linux || !config.linux->uid_mappings.empty() || !config.linux->gid_mappings.empty()) return false;
  const oci::Namespace* user = rules::find_namespace(config, "user");
  const uid_t uid = ::geteuid();
  if (user == nullptr || !user->path.empty() || uid == 0) return false;
  userns::Maps maps = userns::own_maps(uid, ::getegid());
  config.linux->uid_mappings = std::move(maps.uids);
  config.linux->gid_mappings = std::move(maps.gids);
  return true;
}

}  // namespace cooper::container
