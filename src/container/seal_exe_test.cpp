#include "container/seal_exe.h"

#include <gtest/gtest.h>

#include <string>

namespace cooper::container {
namespace {

oci::Config with(std::vector<oci::Namespace> namespaces, std::vector<std::string> bounding) {
  oci::Config out;
  out.linux.emplace().namespaces = std::move(namespaces);
  out.process.emplace().capabilities.emplace().bounding = std::move(bounding);
  return out;
}

TEST(SealExe, TracingNeedsTheCapabilityInOurUserNamespace) {
  EXPECT_FALSE(grants_tracing(with({{"pid", ""}}, {"CAP_KILL"})));
  EXPECT_TRUE(grants_tracing(with({{"pid", ""}}, {"CAP_KILL", "CAP_SYS_PTRACE"})));
  EXPECT_TRUE(grants_tracing(with({}, {"CAP_SYS_PTRACE"})));
  EXPECT_FALSE(grants_tracing(with({{"pid", ""}, {"user", ""}}, {"CAP_SYS_PTRACE"})));
  EXPECT_FALSE(grants_tracing(with({{"user", "/proc/1/ns/user"}}, {"CAP_SYS_PTRACE"})));
  oci::Config permitted = with({}, {});
  permitted.process->capabilities->permitted = {"CAP_SYS_PTRACE"};
  EXPECT_TRUE(grants_tracing(permitted));
  EXPECT_FALSE(grants_tracing(oci::Config{}));
}

TEST(SealExe, NeighboursAreNotKnown) {
  EXPECT_TRUE(may_open_executables(with({{"pid", "/proc/1/ns/pid"}}, {})));
  EXPECT_FALSE(may_open_executables(with({{"pid", "/proc/1/ns/pid"}, {"user", ""}}, {})));
  EXPECT_FALSE(may_open_executables(with({{"pid", ""}}, {})));
  EXPECT_TRUE(may_open_executables(with({{"pid", ""}}, {"CAP_SYS_PTRACE"})));
}

}  // namespace
}  // namespace cooper::container
