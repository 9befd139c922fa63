// Values of types.h -> JSON. parse_config(print_config(c)) gives c again; absent members are left out.
#pragma once

#include <string>

#include "codec/json.h"
#include "spec/oci_runtime/types.h"

namespace cooper::spec::oci_runtime {

enum class Style { kCompact, kPretty };

std::string print_config(const Config& config, Style style = Style::kPretty);
std::string print_process(const Process& process, Style style = Style::kPretty);
std::string print_resources(const Resources& resources, Style style = Style::kCompact);
// Members in runc's order: ociVersion id status pid bundle annotations. pid is left out when 0 (spec: required for
// created and running only).
std::string print_state(const State& state, Style style = Style::kCompact);

// The same as one value of a document that is being written.
void write_process(codec::json::Writer& out, const Process& process);
void write_resources(codec::json::Writer& out, const Resources& resources);
void write_mapping(codec::json::Writer& out, const IdMapping& mapping);
void write_state(codec::json::Writer& out, const State& state);

}  // namespace cooper::spec::oci_runtime
