#include "criu/page_server.h"

#include <gtest/gtest.h>

namespace cooper::criu {
namespace {

TEST(CriuPageServer, IsAddressAndPort) {
  EXPECT_EQ(parse_page_server("10.0.0.1:27").value(), (PageServer{"10.0.0.1", 27}));
  EXPECT_EQ(parse_page_server("[fe80::1]:65535").value(), (PageServer{"fe80::1", 65535}));
  for (const char* wrong : {"", "host", "host:", "host:0", "host:70000", "host:1x", ":27", "[]:27"}) {
    const auto parsed = parse_page_server(wrong);
    ASSERT_FALSE(parsed.ok()) << wrong;
    EXPECT_EQ(parsed.error().code(), Errc::kInvalidArgument);
  }
}

}  // namespace
}  // namespace cooper::criu
