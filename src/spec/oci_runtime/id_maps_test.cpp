#include "spec/oci_runtime/id_maps.h"

#include <gtest/gtest.h>

namespace cooper::spec::oci_runtime {
namespace {

TEST(IdMaps, FindsTheIdOutside) {
  const std::vector<IdMapping> mappings{{0, 100000, 1000}, {1000, 5000, 1}, {4294967290, 7, 5}};
  EXPECT_EQ(host_id(mappings, 0), 100000U);
  EXPECT_EQ(host_id(mappings, 999), 100999U);
  EXPECT_EQ(host_id(mappings, 1000), 5000U);
  EXPECT_EQ(host_id(mappings, 1001), std::nullopt);
  EXPECT_EQ(host_id(mappings, 4294967294), 11U);
  EXPECT_EQ(host_id(mappings, 4294967295), std::nullopt);
  EXPECT_EQ(host_id({}, 0), std::nullopt);
}

TEST(IdMaps, OfAContainer) {
  Config config;
  EXPECT_EQ(host_uid(config, 5), 5U);
  config.linux.emplace().uid_mappings = {{0, 1000, 10}};
  EXPECT_FALSE(maps_ids(config));
  EXPECT_EQ(host_uid(config, 5), 5U);
  config.linux->namespaces = {{"pid", ""}, {"user", ""}};
  EXPECT_EQ(host_uid(config, 5), 1005U);
  EXPECT_EQ(host_uid(config, 10), 10U);  // not mapped
  EXPECT_EQ(host_gid(config, 5), 5U);
}

TEST(IdMaps, PrintsWhatTheKernelTakes) {
  const auto read = parse_id_map("         0     100000      65536\n     65536          1          2\n\nodd 1\n");
  EXPECT_EQ(id_map_text(read), "0 100000 65536\n65536 1 2\n");
  EXPECT_TRUE(parse_id_map("").empty());
  EXPECT_EQ(id_map_text({{0, 100000, 65536}, {65536, 1, 2}}), "0 100000 65536\n65536 1 2\n");
  EXPECT_EQ(id_map_text({}), "");
}

}  // namespace
}  // namespace cooper::spec::oci_runtime
