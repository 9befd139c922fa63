// Looking at pods. Nothing here waits for a lock.
#pragma once

#include <optional>

#include "base/error.h"
#include "pod/manifest.h"
#include "pod/pod.h"
#include "pod/state.h"

namespace cooper::pod {

Result<PodInfo> describe(const EngineOptions& options, const OpenPod& pod);

// The record of an app; nullopt while there is none.
Result<std::optional<monitor::ExitRecord>> read_record(BorrowedFd pod_dir, const std::string& app);
// Every app of the pod has one: it is over, also while the monitor still tidies up.
Result<bool> all_recorded(BorrowedFd pod_dir, const PodManifest& manifest);

// The named app, or the only one. Errc::kInvalidArgument names the apps, kNotFound the missing one.
Result<const AppManifest*> select_app(const PodManifest& manifest, std::string_view app);

// Whether the text, without its dashes, is what the uuid without dashes starts with.
bool is_prefix(std::string_view text, const PodUuid& uuid);
// Hex digits and dashes only.
bool looks_like_prefix(std::string_view text);

// Milliseconds since the epoch of an RFC 3339 time stamp in UTC; 0 when it is none.
std::int64_t parse_timestamp_ms(std::string_view text);

// Rotated files first, the oldest (highest number) of them foremost; only files of this app.
std::vector<std::string> sort_logs(std::vector<std::string> names, const std::string& app);

}  // namespace cooper::pod
