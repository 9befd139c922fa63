// Exit records as members of larger JSON documents.
#pragma once

#include "codec/json.h"
#include "monitor/monitor.h"

namespace cooper::monitor::internal {

void write_record(codec::json::Writer& writer, const ExitRecord& record);
Result<ExitRecord> read_record(const codec::json::Cursor& cursor);

}  // namespace cooper::monitor::internal
