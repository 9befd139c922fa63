#include "userns/maps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "spec/oci_runtime/id_maps.h"

namespace cooper::userns {
namespace {

using spec::oci_runtime::id_map_text;

constexpr const char* kPasswd = "root:x:0:0::/root:/bin/sh\nanna:x:1000:1000::/home/anna:/bin/sh\n";

TEST(MapsTest, TheUserIsZeroAndRangesFollow) {
  const Accounts accounts{kPasswd, "anna:100000:65536\nbert:200000:10\nanna:300000:5\n", "anna:500000:7\n"};
  const Maps maps = maps_of(accounts, 1000, 100);
  EXPECT_EQ(id_map_text(maps.uids), "0 1000 1\n1 100000 65536\n65537 300000 5\n");
  EXPECT_EQ(id_map_text(maps.gids), "0 100 1\n1 500000 7\n");
}

TEST(MapsTest, OneIdWithoutRangesForBoth) {
  for (const Accounts& accounts : {Accounts{kPasswd, "anna:100000:65536\n", ""}, Accounts{kPasswd, "", "anna:1:2\n"},
                                   Accounts{kPasswd, "bert:1:2\n", "bert:1:2\n"}, Accounts{}}) {
    const Maps maps = maps_of(accounts, 1000, 1000);
    EXPECT_EQ(id_map_text(maps.uids), "0 1000 1\n");
    EXPECT_EQ(id_map_text(maps.gids), "0 1000 1\n");
  }
}

TEST(MapsTest, ANumberIsAName) {
  const Maps maps = maps_of({"", "1000:100000:5\n", "1000:100000:5\n"}, 1000, 1000);
  EXPECT_EQ(id_map_text(maps.uids), "0 1000 1\n1 100000 5\n");
}

TEST(MapsTest, NoIdIsMappedTwice) {
  const std::string text = "anna:100000:10\nanna:100000:10\nanna:100009:10\nanna:990:20\nanna:200000:10\n";
  const Maps maps = maps_of({kPasswd, text, text}, 1000, 1000);
  EXPECT_EQ(id_map_text(maps.uids), "0 1000 1\n1 100000 10\n11 200000 10\n");
}

}  // namespace
}  // namespace cooper::userns
