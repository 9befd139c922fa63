// What an ACI's app section asks for that the configuration of an OCI image has no words for.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "pod/pod.h"
#include "spec/appc/types.h"
#include "stage1/flavor.h"

namespace cooper::pod {

// Supplementary groups, isolators, read-only mount points, what runs before the app; what the user asked for as well
// wins. Returns what of the section has no effect here: names of isolators, events. An isolator that confines and
// cannot be had is an error.
Result<std::vector<std::string>> apply_aci_app(const appc::App& section, const AppRequest& request, stage1::App& app);

}  // namespace cooper::pod
