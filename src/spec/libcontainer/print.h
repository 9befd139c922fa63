// Values of types.h -> JSON. What is printed reads back to the same value in the same generation, except what
// unprintable() lists.
#pragma once

#include <string>
#include <vector>

#include "codec/json.h"
#include "spec/libcontainer/types.h"

namespace cooper::spec::libcontainer {

enum class Style { kCompact, kPretty };

// In the generation of `config.generation`. Members without a value are left out, except those that every reader of the
// format expects (rootfs, namespaces).
std::string print_config(const Config& config, Style style = Style::kPretty);
void write_config(codec::json::Writer& out, const Config& config);
std::string print_hook_state(const HookState& state);

// What a generation has no member for.
struct Unprintable {
  std::string pointer;  // in the named generation
  std::string reason;
};
std::vector<Unprintable> unprintable(const Config& config, Generation generation);

}  // namespace cooper::spec::libcontainer
