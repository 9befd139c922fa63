#include "cgroup/usage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cooper::cgroup {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Usage, Pressure) {
  const auto both = parse_pressure(
      "some avg10=1.25 avg60=0.50 avg300=0.00 total=42\nfull avg10=0.00 avg60=0.00 avg300=0.01 total=7\n");
  ASSERT_TRUE(both.has_value());
  EXPECT_DOUBLE_EQ(both->some.avg10, 1.25);
  EXPECT_DOUBLE_EQ(both->some.avg60, 0.5);
  EXPECT_EQ(both->some.total, 42U);
  EXPECT_DOUBLE_EQ(both->full.avg300, 0.01);
  EXPECT_EQ(both->full.total, 7U);
  EXPECT_EQ(parse_pressure("some avg10=x total=-1 junk\n")->some.total, 0U);
  EXPECT_FALSE(parse_pressure("").has_value());
  EXPECT_FALSE(parse_pressure("something else\n").has_value());
}

TEST(Usage, IdLists) {
  EXPECT_THAT(parse_id_list("0-2,5\n"), ElementsAre(0, 1, 2, 5));
  EXPECT_THAT(parse_id_list("3"), ElementsAre(3));
  EXPECT_THAT(parse_id_list(""), IsEmpty());
  EXPECT_THAT(parse_id_list("a-b,-1,3-,7"), ElementsAre(7));
  EXPECT_THAT(parse_id_list("5-2"), IsEmpty());
  EXPECT_EQ(parse_id_list("0-65535,0-65535").size(), 4096U);
}

TEST(Usage, IoCounters) {
  const auto found = parse_io_counters("8:0 Read 4096\n8:16 Write 1\n8:0 77\nTotal 4097\n8:x Read 1\n8:0 Read x\n");
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].major, 8U);
  EXPECT_EQ(found[0].op, "Read");
  EXPECT_EQ(found[0].value, 4096U);
  EXPECT_EQ(found[1].minor, 16U);
  EXPECT_EQ(found[2].op, "");
  EXPECT_EQ(found[2].value, 77U);
}

TEST(Usage, Rdma) {
  const auto found = parse_rdma("mlx4_0 hca_handle=2 hca_object=max\n\nocrdma1\n");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].device, "mlx4_0");
  EXPECT_EQ(found[0].hca_handles, 2U);
  EXPECT_EQ(found[0].hca_objects, UINT32_MAX);
}

}  // namespace
}  // namespace cooper::cgroup
