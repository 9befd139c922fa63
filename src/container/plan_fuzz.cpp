// Any configuration that parses: a plan or an error, never a crash; the printed plan is JSON.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "codec/json.h"
#include "container/plan.h"
#include "container/resctrl.h"
#include "spec/oci_runtime/parse.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cooper;  // NOLINT(google-build-using-namespace)
  const std::string text(reinterpret_cast<const char*>(data), size);
  // Both sides may be anything: one is the kernel's file, the other the configuration's.
  (void)container::schemata_agree(text, std::string_view(text).substr(size / 2));
  const auto config = oci::parse_config(text);
  if (!config.ok()) return 0;
  container::PlanOptions options;
  options.id = "box";
  options.bundle = "/bundle";
  const auto plan = container::make_plan(*config, options);
  if (!plan.ok()) return 0;
  (void)container::print_text(*plan);
  if (!codec::json::Document::parse(container::print_json(*plan), "plan").ok()) std::abort();
  return 0;
}
