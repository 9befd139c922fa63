#include "container/child_identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cooper::container {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

TEST(OwnIdentity, NamesItsNamespaces) {
  OwnIdentity identity;
  ASSERT_TRUE(identity.open().ok());
  const auto text = identity.namespaces();
  ASSERT_TRUE(text.ok());
  const auto numbers = parse_namespaces(*text);
  EXPECT_GT(numbers.at("mnt"), 0U);
  EXPECT_EQ(numbers.count("net"), 1U);
}

TEST(Namespaces, WordsThatAreNoneAreLeftOut) {
  EXPECT_THAT(parse_namespaces("mnt=1 x net=y pid=2"), ElementsAre(Pair("mnt", 1), Pair("pid", 2)));
  EXPECT_THAT(parse_namespaces(""), IsEmpty());
}

}  // namespace
}  // namespace cooper::container
