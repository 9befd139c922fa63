#include "base/chars.h"

#include <cctype>

#include <gtest/gtest.h>

#include "base/percent.h"

namespace cooper {
namespace {

TEST(Chars, AreThoseOfTheCLocale) {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const auto same = [&](bool ours, int theirs) { EXPECT_EQ(ours, theirs != 0) << byte; };
    same(is_digit(c), std::isdigit(byte));
    same(is_lower(c), std::islower(byte));
    same(is_upper(c), std::isupper(byte));
    same(is_letter(c), std::isalpha(byte));
    same(is_alnum(c), std::isalnum(byte));
    same(is_hex(c), std::isxdigit(byte));
    EXPECT_EQ(is_lower_hex(c), is_hex(c) && !is_upper(c)) << byte;
    EXPECT_EQ(is_lower_alnum(c), is_alnum(c) && !is_upper(c)) << byte;
    EXPECT_EQ(to_upper(c), static_cast<char>(std::toupper(byte)));
    EXPECT_EQ(to_lower(c), static_cast<char>(std::tolower(byte)));
    EXPECT_EQ(hex_value(c).has_value(), is_hex(c)) << byte;
  }
  EXPECT_EQ(hex_value('0'), 0U);
  EXPECT_EQ(hex_value('9'), 9U);
  EXPECT_EQ(hex_value('a'), 10U);
  EXPECT_EQ(hex_value('F'), 15U);
  EXPECT_TRUE(all_lower_hex("0af9"));
  EXPECT_FALSE(all_lower_hex("0aF9"));
}

TEST(Percent, EncodesAllButWhatIsKept) {
  EXPECT_EQ(percent_encode("a-._~Z9"), "a-._~Z9");
  EXPECT_EQ(percent_encode("a b/c+\xff"), "a%20b%2Fc%2B%FF");
  EXPECT_EQ(percent_encode("a/b-c", "/"), "a/b%2Dc");
}

TEST(Percent, DecodesWholePairsOnly) {
  EXPECT_EQ(percent_decode("a%20b%2f%2Fc"), "a b//c");
  EXPECT_EQ(percent_decode(""), "");
  EXPECT_EQ(percent_decode("%00"), std::string(1, '\0'));
  for (const char* wrong : {"%", "a%", "%2", "%g0", "%0g", "%%20"}) EXPECT_EQ(percent_decode(wrong), std::nullopt);
}

}  // namespace
}  // namespace cooper
