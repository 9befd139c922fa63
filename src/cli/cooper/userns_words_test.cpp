#include "cli/cooper/userns_words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/cooper/run_request.h"

namespace cooper::cli {
namespace {

using Kind = pod::UserNamespace::Kind;
using ::testing::HasSubstr;

Result<pod::UserNamespace> flags(std::vector<std::string> words, std::string_view otherwise = {}) {
  const std::array<std::span<const Flag>, 2> tables = {sandbox_flags(), rkt_pod_flags()};
  ASSIGN_OR_RETURN(const Args args, parse_args(tables, words, Order::kBeforeArguments));
  return user_namespace_flags(args, otherwise);
}

TEST(Userns, Kinds) {
  EXPECT_EQ(flags({})->kind, Kind::kHost);
  EXPECT_EQ(flags({"--userns", "host"}, "auto")->kind, Kind::kHost);
  EXPECT_EQ(flags({}, "auto:size=7")->size, 7U);
  EXPECT_EQ(flags({"--private-users"})->kind, Kind::kAuto);
  EXPECT_EQ(flags({"--private-users=false"})->kind, Kind::kHost);
  const auto automatic = flags({"--userns=auto:size=1000"});
  ASSERT_TRUE(automatic.ok());
  EXPECT_EQ(automatic->kind, Kind::kAuto);
  EXPECT_EQ(automatic->size, 1000U);
  EXPECT_EQ(flags({"--userns=auto"})->size, pod::kDefaultNamespaceIds);
}

TEST(Userns, MapsOfOneKindHoldForBoth) {
  const auto both = flags({"--uidmap", "0:100000:10", "--uidmap", "10:7"});
  ASSERT_TRUE(both.ok());
  EXPECT_EQ(both->kind, Kind::kGiven);
  ASSERT_EQ(both->uids.size(), 2U);
  EXPECT_EQ(both->uids[1].container_id, 10U);
  EXPECT_EQ(both->uids[1].host_id, 7U);
  EXPECT_EQ(both->uids[1].size, 1U);
  EXPECT_EQ(both->gids.size(), 2U);
  const auto each = flags({"--uidmap", "0:100000:10", "--gidmap", "0:200000:20"});
  EXPECT_EQ(each->gids.at(0).host_id, 200000U);
}

TEST(Userns, Owners) {
  const auto one = flags({"--subuidname", "anna"});
  EXPECT_EQ(one->kind, Kind::kSubordinate);
  EXPECT_EQ(one->gid_owner, "anna");
  EXPECT_EQ(flags({"--subgidname", "users"})->uid_owner, "users");
  EXPECT_EQ(flags({"--subuidname", "anna", "--subgidname", "users"})->gid_owner, "users");
}

TEST(Userns, Refused) {
  for (const std::vector<std::string>& words : {std::vector<std::string>{"--userns", "private"},
                                                {"--userns", "keep-id"},
                                                {"--userns", "container:x"},
                                                {"--userns", "auto:uidmapping=0:1:1"}}) {
    const auto parsed = flags(words);
    ASSERT_FALSE(parsed.ok()) << words[1];
    EXPECT_EQ(parsed.error().code(), Errc::kUnsupported) << words[1];
  }
  for (const std::vector<std::string>& words : {std::vector<std::string>{"--userns", "bogus"},
                                                {"--userns", ""},
                                                {"--userns", "auto:"},
                                                {"--userns", "auto:size=0"},
                                                {"--userns", "auto:size"},
                                                {"--userns", "auto:size=-1"},
                                                {"--userns", "auto:room=3"},
                                                {"--uidmap", "0"},
                                                {"--uidmap", "0:1:0"},
                                                {"--uidmap", "+0:1:1"},
                                                {"--uidmap", "0:1:1:1"},
                                                {"--uidmap", "0:4294967296"},
                                                {"--gidmap", "a:b:c"},
                                                {"--subuidname", ""},
                                                {"--userns", "auto", "--private-users"},
                                                {"--userns", "auto", "--uidmap", "0:1:1"},
                                                {"--subuidname", "anna", "--gidmap", "0:1:1"}}) {
    const auto parsed = flags(words);
    ASSERT_FALSE(parsed.ok()) << ::testing::PrintToString(words);
    EXPECT_EQ(parsed.error().code(), Errc::kInvalidArgument) << parsed.error().message();
  }
  EXPECT_THAT(flags({"--uidmap", "0:1:x"}).error().message(), HasSubstr("--uidmap '0:1:x': must be CONTAINER:HOST"));
}

}  // namespace
}  // namespace cooper::cli
