// Any bytes: no crash, and what was read prints to a document that reads the same, in both generations, and has all
// that confines a container unless it is listed.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "spec/libcontainer/parse.h"
#include "spec/libcontainer/print.h"
#include "spec/libcontainer/validate.h"

namespace {

struct Counts {
  std::size_t syscalls = 0, hooks = 0, device_rules = 0, leaf_weights = 0;
  bool operator==(const Counts&) const = default;
};

Counts counts(const cooper::libcontainer::Config& config) {
  Counts out;
  if (config.seccomp) out.syscalls = config.seccomp->syscalls.size();
  if (config.hooks)
    out.hooks = config.hooks->prestart.size() + config.hooks->poststart.size() + config.hooks->poststop.size();
  if (!config.cgroups) return out;
  out.device_rules = config.cgroups->device_rules.size();
  for (const auto& device : config.cgroups->blkio_weight_device) out.leaf_weights += device.leaf_weight != 0 ? 1 : 0;
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cooper;  // NOLINT(google-build-using-namespace)
  auto config = libcontainer::parse_config(std::string(reinterpret_cast<const char*>(data), size));
  if (!config.ok()) return 0;
  (void)libcontainer::validate(*config).ok();
  const auto own = libcontainer::parse_config(libcontainer::print_config(*config));
  if (!own.ok()) std::abort();
  if (libcontainer::unprintable(*config, config->generation).empty() && !(counts(*own) == counts(*config)))
    std::abort();
  for (const auto generation : {libcontainer::Generation::kNumeric, libcontainer::Generation::kNamed}) {
    config->generation = generation;
    (void)libcontainer::unprintable(*config, generation);
    const std::string once = libcontainer::print_config(*config);
    auto again = libcontainer::parse_config(once);
    if (!again.ok()) std::abort();
    again->generation = generation;  // a document without any telling member
    if (libcontainer::print_config(*again) != once) std::abort();
  }
  return 0;
}
