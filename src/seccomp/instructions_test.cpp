#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "seccomp/seccomp.h"

namespace cooper::seccomp {
namespace {

using ::testing::HasSubstr;

TEST(Instructions, OfSomebodyElse) {
  const struct sock_filter allow = {0x06, 0, 0, 0x7fff0000};
  const auto program = from_instructions(std::string_view(reinterpret_cast<const char*>(&allow), sizeof allow));
  ASSERT_TRUE(program.ok());
  ASSERT_EQ(program->instructions.size(), 1U);
  EXPECT_EQ(program->instructions[0].k, 0x7fff0000U);
  EXPECT_FALSE(program->needs_listener);
}

TEST(Instructions, WhatCannotBeOne) {
  EXPECT_THAT(from_instructions("").error().message(), HasSubstr("0 bytes"));
  EXPECT_THAT(from_instructions("123456789").error().message(), HasSubstr("8 bytes each"));
  EXPECT_THAT(from_instructions(std::string(8 * 4097, 'x')).error().message(), HasSubstr("too long"));
}

}  // namespace
}  // namespace cooper::seccomp
