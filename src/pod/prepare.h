// From a request to a pod that can run.
#pragma once

#include "base/error.h"
#include "pod/manifest.h"
#include "pod/pod.h"
#include "pod/state.h"

namespace cooper::pod {

struct PreparedPod {
  OpenPod pod;  // in prepare/, locked
  PodManifest manifest;
};
// Images are found or fetched, trees unpacked where needed and registered, the manifest is written. Nothing is left on
// failure but images.
Result<PreparedPod> prepare_pod(const EngineOptions& options, const PodRequest& request, const FetchImage& fetch);

// The same decisions without a pod: for --dry-run. Trees may get unpacked, nothing else is written.
Result<PodManifest> plan_pod(const EngineOptions& options, const PodRequest& request);

// Flushes what prepare_pod() wrote.
Status flush_pod(const Layout& layout, const OpenPod& pod, bool has_id_maps);
// Adds to "exec format error" that one of the images is for another architecture.
Error explain_exec_format(const EngineOptions& options, const std::vector<std::string>& image_ids, Error error);

// Removes a prepared pod that shall not run. The lock must be held.
void discard_pod(const EngineOptions& options, OpenPod& pod);

}  // namespace cooper::pod
