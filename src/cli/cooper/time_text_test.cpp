#include "cli/cooper/time_text.h"

#include <gtest/gtest.h>

namespace cooper::cli {
namespace {

constexpr std::int64_t kS = kNsPerSecond;

TEST(Duration, UnitsAddUp) {
  EXPECT_EQ(parse_duration_ns("10s").value(), 10 * kS);
  EXPECT_EQ(parse_duration_ns("1h30m").value(), 5400 * kS);
  EXPECT_EQ(parse_duration_ns("1.5s").value(), kS * 3 / 2);
  EXPECT_EQ(parse_duration_ns("250ms").value(), 250'000'000);
  EXPECT_EQ(parse_duration_ns("2d").value(), 172800 * kS);
  EXPECT_EQ(parse_duration_ns("-3m").value(), -180 * kS);
  EXPECT_EQ(parse_duration_ns("0s").value(), 0);
  EXPECT_EQ(parse_seconds_ns("7").value(), 7 * kS);
  EXPECT_EQ(parse_seconds_ns("0.5").value(), kS / 2);
  EXPECT_EQ(parse_seconds_ns("2m").value(), 120 * kS);
  EXPECT_FALSE(parse_seconds_ns("").ok());
  EXPECT_FALSE(parse_seconds_ns("99999999999999").ok());
}

TEST(Duration, Nonsense) {
  for (const char* text : {"", "-", "5", "s", "5x", "1..5s", "9999999999999h", "1h2", " 1s", "1 s", ".s"})
    EXPECT_FALSE(parse_duration_ns(text).ok()) << text;
}

TEST(Rfc3339, ReadsWhatLogsHold) {
  EXPECT_EQ(parse_rfc3339_ns("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(parse_rfc3339_ns("2026-11-21T22:48:28.123456789Z"), 1795301308 * kS + 123456789);
  EXPECT_EQ(parse_rfc3339_ns("2026-11-22T00:48:28.5+02:00"), 1795301308 * kS + 500'000'000);
  EXPECT_EQ(parse_rfc3339_ns("2026-11-21T21:18:28-01:30"), 1795301308 * kS);
  EXPECT_EQ(parse_rfc3339_ns("2000-02-29T00:00:00Z"), 951782400 * kS);
}

TEST(Rfc3339, RefusesOthers) {
  for (const char* text :
       {"", "2026-11-21", "2026-11-21T22:48:28", "2026-13-21T22:48:28Z", "2026-11-32T22:48:28Z", "2026-11-21T24:48:28Z",
        "2026-11-21T22:48:28.1234567890Z", "2026-11-21T22:48:28Zx", "2026-11-21T22:48:28.Z", "26-11-21T22:48:28Z"}) {
    EXPECT_EQ(parse_rfc3339_ns(text), std::nullopt) << text;
  }
}

TEST(Moment, EverySpelling) {
  const std::int64_t now = 1'000'000 * kS;
  EXPECT_EQ(parse_moment_ns("10m", now).value(), now - 600 * kS);
  EXPECT_EQ(parse_moment_ns("1234.5", now).value(), 1234 * kS + 500'000'000);
  EXPECT_EQ(parse_moment_ns("1970-01-02T00:00:00Z", now).value(), 86400 * kS);
  EXPECT_TRUE(parse_moment_ns("2026-01-02", now).ok());
  EXPECT_TRUE(parse_moment_ns("2026-01-02T03:04:05", now).ok());
  EXPECT_FALSE(parse_moment_ns("yesterday", now).ok());
  EXPECT_FALSE(parse_moment_ns("", now).ok());
}

TEST(Print, TimesAndAges) {
  EXPECT_EQ(print_rfc3339_ms(1795301308123), "2026-11-21T22:48:28.123Z");
  EXPECT_EQ(print_age(999), "0 seconds");
  EXPECT_EQ(print_age(1000), "1 second");
  EXPECT_EQ(print_age(119'000), "1 minute");
  EXPECT_EQ(print_age(7200'000), "2 hours");
  EXPECT_EQ(print_age(std::int64_t{86400} * 3 * 1000), "3 days");
  EXPECT_EQ(print_age(std::int64_t{86400} * 21 * 1000), "3 weeks");
  EXPECT_EQ(print_age(std::int64_t{86400} * 800 * 1000), "2 years");
  EXPECT_EQ(print_age(-5), "0 seconds");
}

}  // namespace
}  // namespace cooper::cli
