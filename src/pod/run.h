// A prepared pod starts under its monitor.
#pragma once

#include <string>

#include "base/error.h"
#include "pod/prepare.h"
#include "stage1/flavor.h"

namespace cooper::pod {

// The pod as a flavor takes it. `where`: where the pod is (or will be) while the result is used.
stage1::Pod flavor_pod(const EngineOptions& options, const PodManifest& manifest, Place where);
// Containers of the pod, nothing done.
Result<stage1::Launch> build_launch(const EngineOptions& options, const PodManifest& manifest, Place where);

// cooper-init: as configured, else beside the program, else in libexec. Errc::kNotFound with a hint.
Result<std::string> find_init(const EngineOptions& options);

enum class OnFailure { kKeep, kRemove };

// The pod is in run/ and locked; the lock passes to the monitor. When the start fails, a pod with remove_on_exit (or
// any, with kRemove) is gone, and any other is an exited one with exit records that say why.
Result<RunResult> start_pod(const EngineOptions& options, PreparedPod prepared, stage1::Launch launch,
                            const monitor::LaunchOptions& how, OnFailure on_failure = OnFailure::kKeep);

}  // namespace cooper::pod
