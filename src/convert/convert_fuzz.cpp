// Any configuration of one system that is read: in the words of the other it prints to a document that can be read.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "convert/convert.h"
#include "spec/libcontainer/parse.h"
#include "spec/libcontainer/print.h"
#include "spec/libcontainer/validate.h"
#include "spec/oci_runtime/parse.h"
#include "spec/oci_runtime/print.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cooper;  // NOLINT(google-build-using-namespace)
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (const auto config = libcontainer::parse_config(text); config.ok() && libcontainer::validate(*config).ok()) {
    for (const bool systemd : {false, true}) {
      const auto made = convert::to_oci(*config, {}, systemd);
      if (!made.ok()) continue;
      (void)convert::report(made->lost);
      (void)convert::check(*made).ok();
      if (!oci::parse_config(oci::print_config(made->config)).ok()) std::abort();
    }
  }
  if (const auto config = oci::parse_config(text); config.ok()) {
    (void)convert::check_source(*config, "/bundle").ok();
    const auto made = convert::to_libcontainer(*config, "/bundle");
    if (!made.ok()) return 0;
    (void)convert::report(made->lost);
    (void)convert::check(*made).ok();
    if (!libcontainer::parse_config(libcontainer::print_config(made->config)).ok()) std::abort();
  }
  return 0;
}
