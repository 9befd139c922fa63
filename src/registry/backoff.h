// When a request is tried again, and how long after.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace cooper::registry {

// A date of HTTP in the form that RFC 9110 prefers, as Unix seconds.
std::optional<std::int64_t> parse_http_date(std::string_view text);

// Seconds from `now_unix_s` on that a Retry-After header asks for: a number, or a date of HTTP (0 when it has passed).
std::optional<std::uint64_t> parse_retry_after(std::string_view text, std::int64_t now_unix_s);

// Seconds for which Cache-Control lets nobody ask again, at most fetch::kMaxAgeS; 0 when it is not understood.
std::uint64_t parse_max_age(std::string_view cache_control);

// Counts failures of one request. A request that brought something begins anew, but not for ever.
class Backoff {
 public:
  // `random` in [0, 1) spreads the clients of a registry that comes back. A `pause_ms` is the same each time, and
  // exact; 0: it grows.
  Backoff(unsigned attempts, double random, std::uint64_t pause_ms = 0)
      : attempts_(attempts), random_(random), pause_ms_(pause_ms) {}

  void made_progress();
  // Milliseconds to wait before the next try; nullopt: no more.
  std::optional<std::uint64_t> next();

 private:
  unsigned attempts_;
  double random_;
  std::uint64_t pause_ms_;
  unsigned failures_ = 0;
  unsigned total_ = 0;
};

}  // namespace cooper::registry
