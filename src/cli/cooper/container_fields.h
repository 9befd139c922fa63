// What templates of ps --format may name of containers, in the words of docker and podman.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/cooper/format_template.h"
#include "cli/cooper/target.h"
#include "codec/json.h"

namespace cooper::cli {

std::span<const TemplateField> container_fields();
// An object a row. `full` leaves ids and commands whole.
Result<std::vector<codec::json::Document>> container_records(const std::vector<Row>& rows, bool full);
// "Up 2 minutes", "Exited (0) 3 hours ago"
std::string status_text(const Row& row, std::int64_t now_ms);

}  // namespace cooper::cli
