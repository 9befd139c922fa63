// Records for --format json and inspect. Keys are snake_case and stable; times, durations and sizes carry their unit.
#pragma once

#include "cli/cooper/command.h"
#include "cli/cooper/target.h"
#include "codec/json.h"
#include "image/store.h"
#include "monitor/monitor.h"
#include "pod/pod.h"

namespace cooper::cli {

// One element of ps.
void describe_row(codec::json::Writer& out, const Row& row);
// One element of pod ls, and pod status.
void describe_pod(codec::json::Writer& out, const pod::PodInfo& pod);
// Of an image without a date "created" is null.
void describe_image(codec::json::Writer& out, const image::Image& image);
// {"image": ...}, and where it was put.
Status print_image(const Context& context, const image::Image& image, const std::string& directory = {});

// Containers and images named by the arguments.
Result<int> inspect(const Context& context, const Args& args);
// Images alone.
Result<int> inspect_images(const Context& context, const Args& args);

}  // namespace cooper::cli
