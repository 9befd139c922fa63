#include "spec/oci_runtime/versions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cooper::spec::oci_runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> newer(const std::string& version, const std::string& members) {
  const auto found = newer_members(R"({"ociVersion": ")" + version + R"(", )" + members + "}");
  std::vector<std::string> out;
  for (const NewerMember& one : *found) out.push_back(one.pointer + " " + one.since);
  return out;
}

TEST(Holds, FromItsVersionOn) {
  for (const Rule rule : {Rule::kPidsLimitZeroIsALimit, Rule::kPoststartMustSucceed}) {
    for (const char* before : {"1.0.0", "1.0.2-dev", "1.1.0+dev", "1.2.1", "1.2.99"})
      EXPECT_FALSE(holds(rule, before)) << before;
    for (const char* after : {"1.3.0", "1.3.0-rc.1", "1.3.0+dev", "1.10.0"}) EXPECT_TRUE(holds(rule, after)) << after;
  }
}

TEST(NewerMembers, AreNamedWithTheirVersion) {
  const std::string members = R"("process": {"user": {"umask": 18}, "execCPUAffinity": {}}, "domainname": "d",
    "linux": {"netDevices": {}, "resources": {"cpu": {"idle": 1, "shares": 2}}})";
  EXPECT_THAT(newer("1.0.0", members),
              ElementsAre("/process/user/umask 1.0.2", "/domainname 1.1.0", "/linux/resources/cpu/idle 1.1.0",
                          "/process/execCPUAffinity 1.2.1", "/linux/netDevices 1.3.0"));
  EXPECT_THAT(newer("1.2.0", members), ElementsAre("/process/execCPUAffinity 1.2.1", "/linux/netDevices 1.3.0"));
  EXPECT_THAT(newer("1.2.1+dev", members), ElementsAre("/linux/netDevices 1.3.0"));
  EXPECT_THAT(newer("1.3.0", members), IsEmpty());
  EXPECT_THAT(newer("1.7.0", members), IsEmpty());
}

TEST(NewerMembers, InListsAndByTheirValues) {
  const std::string members = R"("mounts": [{"destination": "/a", "options": ["ro", "rro"]},
                                            {"destination": "b", "options": ["idmap"], "uidMappings": []}],
    "linux": {"namespaces": [{"type": "pid"}, {"type": "time"}],
              "seccomp": {"syscalls": [{"action": "SCMP_ACT_ALLOW"}, {"action": "SCMP_ACT_NOTIFY", "errnoRet": 1}]}})";
  EXPECT_THAT(newer("1.0.2-dev", members),
              ElementsAre("/mounts/1/uidMappings 1.1.0", "/mounts/0/options/1 1.1.0", "/linux/namespaces/1/type 1.1.0",
                          "/linux/seccomp/syscalls/1/action 1.1.0", "/linux/seccomp/syscalls/1/errnoRet 1.1.0",
                          "/mounts/1/options/0 1.2.0", "/mounts/1/destination 1.2.0"));
}

// Whatever the document is: parse_config() is what refuses it.
TEST(NewerMembers, OfOtherShapesAreNone) {
  EXPECT_THAT(newer("1.0.0", R"("linux": [], "mounts": {"destination": "x"}, "process": null, "domainname": null)"),
              IsEmpty());
}

TEST(DescribeNewerMembers, IsOneSentence) {
  EXPECT_EQ(*describe_newer_members(R"({"ociVersion": "1.0.2", "domainname": "d", "process": {"scheduler": {}}})"),
            "config.json: newer than its ociVersion '1.0.2', and applied all the same: /domainname (1.1.0), "
            "/process/scheduler (1.1.0)");
  EXPECT_EQ(*describe_newer_members(R"({"ociVersion": "1.3.0", "domainname": "d"})"), "");
  EXPECT_THAT(*describe_newer_members(R"({"ociVersion": "1.9.0", "later": 1})"),
              HasSubstr("ociVersion '1.9.0' is newer than 1.3.0"));
}

TEST(DescribeNewerMembers, DoesNotGrowWithoutABound) {
  std::string many = R"({"ociVersion": "1.0.0", "mounts": [)";
  for (int i = 0; i < 1000; ++i) many += R"({"destination": "x"},)";
  many.back() = ']';
  const std::string said = *describe_newer_members(many + "}");
  EXPECT_LT(said.size(), 4096U);
  EXPECT_THAT(said, HasSubstr("and 936 more"));
}

}  // namespace
}  // namespace cooper::spec::oci_runtime
