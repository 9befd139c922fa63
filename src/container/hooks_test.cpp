#include "container/hooks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cooper::container {
namespace {

TEST(HookInput, IsTheStateDocument) {
  const oci::State state{"1.3.0", "box", "creating", 7, "/bundle", {}};
  EXPECT_EQ(hook_input(state), R"({"ociVersion":"1.3.0","id":"box","status":"creating","pid":7,"bundle":"/bundle"})");
}

TEST(HookInput, OfLibcontainerWhereTheConfigurationWasItsOwn) {
  oci::State state{"1.3.0", "box", "creating", 7, "/bundle", {{kHookStateRoot, "/r"}, {"a", "b"}}};
  EXPECT_EQ(hook_input(state), R"({"version":"","id":"box","pid":7,"root":"/r"})");
  state.annotations[kHookStateVersion] = "0.2";
  EXPECT_EQ(hook_input(state), R"({"version":"0.2","id":"box","pid":7,"root":"/r"})");
}

}  // namespace
}  // namespace cooper::container
