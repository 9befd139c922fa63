// Times and durations as people write and read them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace cooper::cli {

inline constexpr std::int64_t kNsPerSecond = 1'000'000'000;

// CLOCK_REALTIME in nanoseconds.
std::int64_t now_unix_ns();

// "1h30m", "250ms", "1.5s", "2d": units ns us ms s m h d. Nanoseconds; negative with a leading '-'.
Result<std::int64_t> parse_duration_ns(std::string_view text);
// "10" and "0.5" mean seconds, else as parse_duration_ns.
Result<std::int64_t> parse_seconds_ns(std::string_view text);
// The same for a flag that is a time to wait, in milliseconds; the error names the flag.
Result<int> parse_timeout_ms(std::string_view flag, std::string_view text);

// RFC 3339 with 0 to 9 fraction digits and an offset, as the CRI log format has it; nullopt when it is anything else.
std::optional<std::int64_t> parse_rfc3339_ns(std::string_view text);
// What --since and --until take: a duration before now, RFC 3339, a local date or date and time without an offset,
// seconds since 1970 with an optional fraction.
Result<std::int64_t> parse_moment_ns(std::string_view text, std::int64_t now_ns);

// "2026-01-02T03:04:05.123Z"
std::string print_rfc3339_ms(std::int64_t unix_ms);
// "5 seconds", "2 minutes", "3 hours", "4 days": the largest unit that fits, rounded down.
std::string print_age(std::int64_t ms);

}  // namespace cooper::cli
