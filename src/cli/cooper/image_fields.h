// What templates of --format and --fields may name of images, in the words of docker, podman and rkt.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "cli/cooper/format_template.h"
#include "codec/json.h"
#include "image/store.h"

namespace cooper::cli {

// image ls
std::span<const TemplateField> list_fields();
// An object a row: one for each name. `full` leaves ids whole.
Result<std::vector<codec::json::Document>> list_records(const std::vector<image::Image>& images, bool full);
// rkt's --fields id,name,size,importtime,lastused as a template.
Result<std::string> template_of_fields(const std::string& fields);

// image inspect
std::span<const TemplateField> inspect_fields();
Result<codec::json::Document> inspect_record(const image::Store& store, const image::Image& image);

// "registry/name" and "tag" of a full name.
std::pair<std::string_view, std::string_view> split_name(std::string_view name);
// What stands in the list for an image without names: its repositories without a tag.
std::vector<std::string> in_place_of_names(const image::Image& image);
bool is_nameless(const image::Image& image);
// Pulled by a digest, an image has no name, but it has a repository.
std::string repository_of(const std::string& digest_name);

}  // namespace cooper::cli
