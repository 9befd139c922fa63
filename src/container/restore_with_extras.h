// Restore of a container that was made with extras.
#pragma once

#include <optional>

#include "base/error.h"
#include "container/container.h"
#include "container/extras.h"

namespace cooper::container {

// As Factory::restore(), which has none.
Result<Created> restore_with_extras(Factory& factory, const oci::Config& config, const RestoreOptions& options,
                                    const std::optional<Extras>& extras);

}  // namespace cooper::container
