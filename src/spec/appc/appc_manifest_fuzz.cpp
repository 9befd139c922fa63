// Any bytes as an image manifest, an image's name, also in rkt's canonical form, an amount: no crash; what parses
// prints to something that parses to the same.
#include <cstddef>
#include <cstdint>
#include <string>

#include "spec/appc/cimd.h"
#include "spec/appc/isolators.h"
#include "spec/appc/names.h"
#include "spec/appc/parse.h"
#include "spec/appc/print.h"

namespace appc = cooper::spec::appc;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  if (text.ends_with('\n')) text.pop_back();  // seeds are files of text
  (void)appc::parse_quantity(text).ok();
  (void)appc::parse_image_id(text).ok();
  if (const auto name = appc::parse_image_name(text); name.ok()) {
    const std::string printed = appc::print_image_name(name->name, name->labels);
    const auto again = appc::parse_image_name(printed);
    COOPER_ASSERT(again.ok() && appc::print_image_name(again->name, again->labels) == printed);
  }
  if (const auto word = appc::word_of_cimd(text); word.ok()) {
    COOPER_ASSERT(appc::is_cimd(text) && !word->empty() && !appc::is_cimd(*word));
    COOPER_ASSERT(word->find('\0') == std::string::npos || text.find('\0') != std::string::npos);
    const bool placed = word->starts_with("docker://") || word->starts_with("http") || word->starts_with("file:///");
    COOPER_ASSERT(placed || appc::parse_image_name(*word).ok());
  }
  const auto manifest = appc::parse_image_manifest(text, "manifest");
  if (!manifest.ok()) return 0;
  if (manifest->app) COOPER_ASSERT(appc::read_isolators(manifest->app->isolators).ok());
  const std::string printed = appc::print(*manifest);
  const auto again = appc::parse_image_manifest(printed, "manifest");
  COOPER_ASSERT(again.ok() && appc::print(*again) == printed);
  return 0;
}
