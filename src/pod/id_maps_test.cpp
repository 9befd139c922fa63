#include "pod/id_maps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pod/id_ranges.h"
#include "pod/shifted_attribute.h"
#include "pod/testing.h"

namespace cooper::pod {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::uint64_t first(std::uint64_t /*below*/) {
  return 0;
}
std::uint64_t last(std::uint64_t below) {
  return below - 1;
}

TEST(IdMaps, ReadsSubordinateIds) {
  const std::string text =
      "# a remark\nanna:100000:65536\n bob:1:2 \nanna:300000:10\n\nanna:x:1\nanna:1\n:5:5\nanna:1:0\n"
      "anna:4294967295:1\nanna:4294967290:6\nanna:-1:3";
  EXPECT_THAT(parse_subids(text, "anna"), ElementsAre(IdRange{100000, 65536}, IdRange{300000, 10}));
  EXPECT_THAT(parse_subids(text, "bob"), ElementsAre(IdRange{1, 2}));
  EXPECT_EQ(parse_subids(text, std::nullopt).size(), 3U);
  EXPECT_THAT(parse_subids("", "anna"), IsEmpty());
}

TEST(IdMaps, ChecksMaps) {
  EXPECT_TRUE(check_id_mappings({{0, 100000, 65536}, {65536, 1, 1}}, "user").ok());
  EXPECT_TRUE(check_id_mappings({{0, 0, 4294967295}}, "user").ok());
  const auto why = [](const std::vector<oci::IdMapping>& mappings) {
    const Status checked = check_id_mappings(mappings, "group");
    return checked.ok() ? std::string("fine") : checked.error().message();
  };
  EXPECT_THAT(why({}), HasSubstr("map of group ids: id 0 is missing"));
  EXPECT_THAT(why({{1, 1, 10}}), HasSubstr("id 0 is missing"));
  EXPECT_THAT(why({{0, 5, 0}}), HasSubstr("0:5:0 is empty"));
  EXPECT_THAT(why({{0, 4294967295, 1}}), HasSubstr("goes beyond"));
  EXPECT_THAT(why({{0, 100, 10}, {9, 300, 2}}), HasSubstr("of the container in common"));
  EXPECT_THAT(why({{0, 100, 10}, {10, 109, 2}}), HasSubstr("of the host in common"));
  std::vector<oci::IdMapping> many;
  for (std::uint32_t i = 0; i < 341; ++i) many.push_back({i, 1000 + 2 * i, 1});
  EXPECT_THAT(why(many), HasSubstr("more than the 340 ranges"));
}

TEST(IdMaps, MapsToRangesInTheirOrder) {
  const auto maps = map_to_ranges({{100000, 10}, {5000, 1}});
  ASSERT_TRUE(maps.ok());
  ASSERT_EQ(maps->size(), 2U);
  EXPECT_EQ((*maps)[1].container_id, 10U);
  EXPECT_EQ((*maps)[1].host_id, 5000U);
  EXPECT_EQ(map_to_ranges({{0, 4294967295}, {0, 1}}).error().code(), Errc::kLimit);
}

TEST(IdMaps, AppsAreInside) {
  const stage1::IdMaps maps{{{0, 100000, 1000}}, {{0, 200000, 10}}};
  stage1::App app;
  app.uid = 999;
  EXPECT_TRUE(check_mapped(app, maps).ok());
  app.additional_gids = {10};
  EXPECT_THAT(check_mapped(app, maps).error().message(), HasSubstr("group 10 is not in the pod's user namespace"));
  EXPECT_TRUE(check_mapped(app, {}).ok());
  app.uid = 1000;
  EXPECT_THAT(check_mapped(app, maps).error().message(), HasSubstr("user 1000 is not in the pod's user namespace, "
                                                                   "which has 0 to 999"));
}

TEST(IdMaps, MergesAndIntersects) {
  EXPECT_THAT(merge_ranges({{10, 5}, {0, 3}, {15, 1}, {12, 1}}), ElementsAre(IdRange{0, 3}, IdRange{10, 6}));
  EXPECT_THAT(host_ranges({{{0, 100, 10}}, {{0, 105, 10}}}), ElementsAre(IdRange{100, 15}));
  EXPECT_THAT(intersect_ranges({{0, 10}, {20, 10}}, {{5, 20}}), ElementsAre(IdRange{5, 5}, IdRange{20, 5}));
  EXPECT_THAT(intersect_ranges({{0, 10}}, {{10, 5}}), IsEmpty());
}

TEST(IdMaps, ChoosesWhatIsFree) {
  const std::vector<IdRange> pool{{0x80000, 0x40000}};
  EXPECT_EQ(choose_range(pool, {}, 65536, 65536, first), (IdRange{0x80000, 65536}));
  EXPECT_EQ(choose_range(pool, {}, 65536, 65536, last), (IdRange{0xb0000, 65536}));
  EXPECT_EQ(choose_range(pool, {{0x80000, 65536}, {0xa0000, 1}}, 65536, 65536, first), (IdRange{0x90000, 65536}));
  EXPECT_EQ(choose_range(pool, {{0x80001, 1}, {0x90000, 0x20000}}, 1000, 65536, last), (IdRange{0xb0000, 1000}));
  EXPECT_EQ(choose_range(pool, {{0, 0x100000}}, 1, 1, first), std::nullopt);
  EXPECT_EQ(choose_range(pool, {}, 0x40001, 1, first), std::nullopt);
  EXPECT_EQ(choose_range({{100, 10}}, {{103, 1}}, 3, 1, last), (IdRange{107, 3}));
  EXPECT_EQ(choose_range({{4294967290, 5}}, {}, 5, 1, last), (IdRange{4294967290, 5}));
}

// ---- who has which

TEST(IdRanges, NamesOfNotes) {
  const std::string uuid = PodUuid::random().str();
  const auto noted = parse_noted_range("524288-65536@" + uuid);
  ASSERT_TRUE(noted.has_value());
  EXPECT_EQ(noted->range, (IdRange{524288, 65536}));
  EXPECT_EQ(noted->uuid.str(), uuid);
  const std::vector<std::string> wrong = {
      "", "@", "1-2", "1@" + uuid, "-2@" + uuid, "1-0@" + uuid, "1-2@x", "4294967295-1@" + uuid, "1-2-3@" + uuid};
  for (const std::string& name : wrong) EXPECT_FALSE(parse_noted_range(name).has_value()) << name;
}

class IdRangesTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(make_layout(roots_.layout()).ok()); }
  TempRoots roots_;
};

TEST_F(IdRangesTest, NoTwoPodsHaveOne) {
  UserNamespace request;
  request.kind = UserNamespace::Kind::kAuto;
  std::vector<IdRange> ranges;
  std::vector<PodUuid> uuids;
  for (int i = 0; i < 8; ++i) {
    const auto maps = take_id_maps(roots_.layout(), request, uuids.emplace_back(PodUuid::random()));
    ASSERT_TRUE(maps.ok()) << maps.error().message();
    ranges.push_back(host_ranges(*maps).at(0));
  }
  EXPECT_EQ(noted_ranges(roots_.layout())->size(), 8U);
  std::uint64_t ids = 0;
  for (const IdRange& range : merge_ranges(ranges)) ids += range.count;
  EXPECT_EQ(ids, 8U * kDefaultNamespaceIds);
  ASSERT_TRUE(release_id_ranges(roots_.layout(), uuids[3]).ok());
  EXPECT_EQ(noted_ranges(roots_.layout())->size(), 7U);
  EXPECT_TRUE(release_id_ranges(roots_.layout(), uuids[3]).ok()) << "may be repeated";
}

TEST_F(IdRangesTest, GivenOnesAreNotedToo) {
  UserNamespace request;
  request.kind = UserNamespace::Kind::kGiven;
  request.uids = {{0, 100000, 10}, {10, 5000, 1}};
  request.gids = {{0, 100005, 10}};
  EXPECT_TRUE(choose_id_maps(roots_.layout(), request).ok());
  EXPECT_THAT(*noted_ranges(roots_.layout()), IsEmpty()) << "choosing alone leaves nothing";
  ASSERT_TRUE(take_id_maps(roots_.layout(), request, PodUuid::random()).ok());
  std::vector<IdRange> ranges;
  const auto notes = noted_ranges(roots_.layout());
  ASSERT_TRUE(notes.ok());
  for (const NotedRange& noted : *notes) ranges.push_back(noted.range);
  EXPECT_THAT(merge_ranges(ranges), ElementsAre(IdRange{5000, 1}, IdRange{100000, 15}));
  EXPECT_TRUE(take_id_maps(roots_.layout(), {}, PodUuid::random())->empty());
}

TEST_F(IdRangesTest, MoreThanThereAre) {
  UserNamespace request;
  request.kind = UserNamespace::Kind::kAuto;
  request.size = 4000000000;
  const auto maps = take_id_maps(roots_.layout(), request, PodUuid::random());
  ASSERT_FALSE(maps.ok());
  EXPECT_EQ(maps.error().code(), Errc::kLimit);
  EXPECT_THAT(maps.error().message(), HasSubstr("no 4000000000 ids of the host are free"));
}

// ---- attributes

TEST(ShiftedAttribute, Capabilities) {
  const stage1::IdMaps maps{{{0, 100000, 1000}}, {{0, 200000, 1000}}};
  const std::string second("\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  const std::string third =
      std::string("\1\0\0\3\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20) + std::string("\xa0\x86\1\0", 4);
  EXPECT_EQ(shift_attribute("security.capability", second, maps), third);
  EXPECT_EQ(shift_attribute("security.capability", second, {}), second);
  EXPECT_EQ(shift_attribute("user.capability", second, maps), second);
  EXPECT_EQ(shift_attribute("security.capability", third, maps), std::nullopt) << "that root is not mapped";
  EXPECT_EQ(shift_attribute("security.capability", "short", maps), "short");
}

TEST(ShiftedAttribute, AccessControlLists) {
  const stage1::IdMaps maps{{{0, 100000, 1000}}, {{0, 200000, 1000}}};
  const auto entry = [](char tag, std::string_view id) { return std::string{tag, 0, 7, 0} + std::string(id); };
  const std::string header("\2\0\0\0", 4);
  const std::string none("\xff\xff\xff\xff", 4);
  const std::string before =
      header + entry(1, none) + entry(2, std::string("\1\0\0\0", 4)) + entry(8, std::string("\2\0\0\0", 4));
  const std::string after =
      header + entry(1, none) + entry(2, std::string("\xa1\x86\1\0", 4)) + entry(8, std::string("\x42\x0d\3\0", 4));
  EXPECT_EQ(shift_attribute("system.posix_acl_access", before, maps), after);
  EXPECT_EQ(shift_attribute("system.posix_acl_default", header + entry(2, none), maps), std::nullopt);
  EXPECT_EQ(shift_attribute("system.posix_acl_access", header + "odd", maps), header + "odd");
}

}  // namespace
}  // namespace cooper::pod
