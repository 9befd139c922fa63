#include "cli/cooper/time_text.h"

#include <fmt/format.h>
#include <time.h>

#include <array>
#include <climits>
#include <cmath>

#include "base/chars.h"
#include "base/strings.h"

namespace cooper::cli {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t ns;
};
constexpr std::array<Unit, 8> kUnits = {{{"ns", 1},
                                         {"us", 1'000},
                                         {"\u00b5s", 1'000},
                                         {"ms", 1'000'000},
                                         {"s", kNsPerSecond},
                                         {"m", 60 * kNsPerSecond},
                                         {"h", 3600 * kNsPerSecond},
                                         {"d", 86400 * kNsPerSecond}}};

// Digits after the point as nanoseconds of one second; nullopt for none, more than nine, or others.
std::optional<std::int64_t> fraction_ns(std::string_view digits) {
  if (digits.empty() || digits.size() > 9) return std::nullopt;
  std::string padded(digits);
  padded.resize(9, '0');
  const auto n = parse_number<std::uint32_t>(padded);
  return n ? std::optional<std::int64_t>(*n) : std::nullopt;
}

// Days from 1970-01-01 of a proleptic Gregorian date.
std::int64_t days_from_civil(std::int64_t year, unsigned month, unsigned day) {
  year -= month <= 2 ? 1 : 0;
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const auto of_era = static_cast<unsigned>(year - era * 400);
  const unsigned of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

struct Civil {
  int year = 0;
  unsigned month = 1, day = 1, hour = 0, minute = 0, second = 0;
  std::int64_t ns = 0;
  std::string_view rest;  // what follows: an offset or nothing
};

bool take(std::string_view& text, std::size_t digits, unsigned& out) {
  if (text.size() < digits) return false;
  const auto n = parse_number<unsigned>(text.substr(0, digits));
  if (!n || !is_digit(text[0])) return false;
  out = *n;
  text.remove_prefix(digits);
  return true;
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text[0] != c) return false;
  text.remove_prefix(1);
  return true;
}

// "YYYY-MM-DD" and, with_time, "THH:MM:SS[.fraction]".
std::optional<Civil> parse_civil(std::string_view text, bool with_time) {
  Civil c;
  unsigned year = 0;
  if (!take(text, 4, year) || !take(text, '-') || !take(text, 2, c.month) || !take(text, '-') || !take(text, 2, c.day))
    return std::nullopt;
  c.year = static_cast<int>(year);
  constexpr std::array<unsigned, 12> kDays = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (c.month < 1 || c.month > 12 || c.day < 1 || c.day > kDays[c.month - 1]) return std::nullopt;
  if (with_time) {
    if (!take(text, 'T') && !take(text, 't') && !take(text, ' ')) return std::nullopt;
    if (!take(text, 2, c.hour) || !take(text, ':') || !take(text, 2, c.minute) || !take(text, ':') ||
        !take(text, 2, c.second))
      return std::nullopt;
    if (c.hour > 23 || c.minute > 59 || c.second > 60) return std::nullopt;
    if (take(text, '.')) {
      std::size_t n = 0;
      while (n < text.size() && is_digit(text[n])) ++n;
      const auto ns = fraction_ns(text.substr(0, n));
      if (!ns) return std::nullopt;
      c.ns = *ns;
      text.remove_prefix(n);
    }
  }
  c.rest = text;
  return c;
}

std::int64_t utc_ns(const Civil& c) {
  const std::int64_t seconds =
      days_from_civil(c.year, c.month, c.day) * 86400 + c.hour * 3600 + c.minute * 60 + c.second;
  return seconds * kNsPerSecond + c.ns;
}

std::int64_t local_ns(const Civil& c) {
  struct tm when = {};
  when.tm_year = c.year - 1900;
  when.tm_mon = static_cast<int>(c.month) - 1;
  when.tm_mday = static_cast<int>(c.day);
  when.tm_hour = static_cast<int>(c.hour);
  when.tm_min = static_cast<int>(c.minute);
  when.tm_sec = static_cast<int>(c.second);
  when.tm_isdst = -1;
  return std::int64_t{::mktime(&when)} * kNsPerSecond + c.ns;
}

// One "1.5h" of a duration; nullopt when it is none or too large.
std::optional<std::int64_t> take_duration(std::string_view& text) {
  std::size_t n = 0;
  while (n < text.size() && (is_digit(text[n]) || text[n] == '.')) ++n;
  const std::string_view number = text.substr(0, n);
  text.remove_prefix(n);
  n = 0;
  while (n < text.size() && !is_digit(text[n]) && text[n] != '.') ++n;
  const std::string_view name = text.substr(0, n);
  text.remove_prefix(n);
  for (const Unit& unit : kUnits) {
    if (unit.name != name) continue;
    const auto parts = split_once(number, '.');
    const auto whole = parse_number<std::int64_t>(parts ? (parts->first.empty() ? "0" : parts->first) : number);
    if (!whole || number == ".") return std::nullopt;
    std::int64_t total = 0;
    if (__builtin_mul_overflow(*whole, unit.ns, &total)) return std::nullopt;
    if (parts && !parts->second.empty()) {
      const auto part = fraction_ns(parts->second);
      if (!part) return std::nullopt;
      const std::int64_t scaled = std::llround(static_cast<double>(*part) / 1e9 * static_cast<double>(unit.ns));
      if (__builtin_add_overflow(total, scaled, &total)) return std::nullopt;
    }
    return total;
  }
  return std::nullopt;
}

}  // namespace

std::int64_t now_unix_ns() {
  struct timespec now = {};
  (void)::clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * kNsPerSecond + now.tv_nsec;
}

Result<std::int64_t> parse_duration_ns(std::string_view text) {
  const auto bad = [&] {
    return Error(Errc::kInvalidArgument,
                 "duration " + quoted(text) + " is not a number with a unit (ns us ms s m h d)");
  };
  std::string_view rest = text;
  const bool negative = take(rest, '-');
  if (rest.empty()) return bad();
  std::int64_t total = 0;
  while (!rest.empty()) {
    const auto part = take_duration(rest);
    if (!part || __builtin_add_overflow(total, *part, &total)) return bad();
  }
  return negative ? -total : total;
}

Result<std::int64_t> parse_seconds_ns(std::string_view text) {
  if (text.empty() || text.find_first_not_of("0123456789.") != std::string_view::npos) return parse_duration_ns(text);
  auto seconds = parse_duration_ns(std::string(text) + "s");
  if (!seconds.ok())
    return Error(Errc::kInvalidArgument, "duration " + quoted(text) + " is no number of seconds, or too long");
  return seconds;
}

Result<int> parse_timeout_ms(std::string_view flag, std::string_view text) {
  const auto ns = parse_seconds_ns(text);
  if (!ns.ok() || *ns < 0 || *ns / 1'000'000 > INT_MAX)
    return Error(Errc::kInvalidArgument, std::string(flag) + ": " + quoted(text) + " is no number of seconds");
  return static_cast<int>(*ns / 1'000'000);
}

std::optional<std::int64_t> parse_rfc3339_ns(std::string_view text) {
  const auto civil = parse_civil(text, true);
  if (!civil) return std::nullopt;
  std::string_view zone = civil->rest;
  std::int64_t offset = 0;
  if (zone == "Z" || zone == "z") return utc_ns(*civil);
  const bool east = take(zone, '+');
  if (!east && !take(zone, '-')) return std::nullopt;
  unsigned hours = 0;
  unsigned minutes = 0;
  if (!take(zone, 2, hours) || !take(zone, ':') || !take(zone, 2, minutes) || !zone.empty() || hours > 23 ||
      minutes > 59)
    return std::nullopt;
  offset = (hours * std::int64_t{3600} + minutes * std::int64_t{60}) * kNsPerSecond;
  return utc_ns(*civil) + (east ? -offset : offset);
}

Result<std::int64_t> parse_moment_ns(std::string_view text, std::int64_t now_ns) {
  if (const auto moment = parse_rfc3339_ns(text)) return *moment;
  for (const bool with_time : {true, false}) {
    const auto civil = parse_civil(text, with_time);
    if (civil && civil->rest.empty()) return local_ns(*civil);
  }
  const auto parts = split_once(text, '.');
  const auto seconds = parse_number<std::int64_t>(parts ? parts->first : text);
  const auto part = parts ? fraction_ns(parts->second) : std::optional<std::int64_t>(0);
  if (seconds && part && *seconds >= 0 && *seconds < 9'000'000'000) return *seconds * kNsPerSecond + *part;
  if (const auto ago = parse_duration_ns(text); ago.ok()) return now_ns - (*ago < 0 ? -*ago : *ago);
  return Error(Errc::kInvalidArgument, quoted(text) + " is no time")
      .with_hint("use a duration like 10m, a time like 2026-01-02T15:04:05Z, or seconds since 1970");
}

std::string print_rfc3339_ms(std::int64_t unix_ms) {
  const time_t seconds = unix_ms / 1000;
  struct tm utc = {};
  (void)::gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                     utc.tm_hour, utc.tm_min, utc.tm_sec, unix_ms % 1000);
}

std::string print_age(std::int64_t ms) {
  const std::int64_t seconds = ms < 0 ? 0 : ms / 1000;
  const auto say = [](std::int64_t n, std::string_view unit) {
    return fmt::format("{} {}{}", n, unit, n == 1 ? "" : "s");
  };
  if (seconds < 60) return say(seconds, "second");
  if (seconds < 3600) return say(seconds / 60, "minute");
  if (seconds < 2 * 86400) return say(seconds / 3600, "hour");
  if (seconds < 14 * 86400) return say(seconds / 86400, "day");
  if (seconds < 60 * 86400) return say(seconds / (7 * 86400), "week");
  if (seconds < 730 * std::int64_t{86400}) return say(seconds / (30 * 86400), "month");
  return say(seconds / (365 * 86400), "year");
}

}  // namespace cooper::cli
