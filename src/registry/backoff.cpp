#include "registry/backoff.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <string>

#include "base/strings.h"
#include "fetch/protocol.h"

namespace cooper::registry {
namespace {

constexpr std::uint64_t kFirstMs = 500;
constexpr std::uint64_t kMaxMs = 30'000;
// However much progress there is between them.
constexpr unsigned kMaxTotal = fetch::kMaxAttempts;

}  // namespace

std::optional<std::int64_t> parse_http_date(std::string_view text) {
  const std::string copy(text);
  std::tm parts{};
  // RFC 9110, 5.6.7: the preferred form; the program runs in the C locale.
  const char* const end = ::strptime(copy.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return ::timegm(&parts);
}

std::optional<std::uint64_t> parse_retry_after(std::string_view text, std::int64_t now_unix_s) {
  text = trim(text);
  if (const auto seconds = parse_number<std::uint64_t>(text)) return seconds;
  const auto then = parse_http_date(text);
  if (!then) return std::nullopt;
  return static_cast<std::uint64_t>(std::max<std::int64_t>(*then - now_unix_s, 0));
}

std::uint64_t parse_max_age(std::string_view cache_control) {
  std::uint64_t age = 0;
  for (const std::string_view part : split(cache_control, ',')) {
    const std::string word = to_lower(trim(part));
    if (word == "no-cache" || word == "no-store" || word.starts_with("no-cache=")) return 0;
    constexpr std::string_view kMaxAge = "max-age=";
    if (!word.starts_with(kMaxAge)) continue;
    const auto seconds = parse_number<std::uint64_t>(std::string_view(word).substr(kMaxAge.size()));
    if (!seconds) return 0;
    age = std::min(*seconds, fetch::kMaxAgeS);
  }
  return age;
}

void Backoff::made_progress() {
  failures_ = 0;
}

std::optional<std::uint64_t> Backoff::next() {
  if (++failures_ >= attempts_ || ++total_ >= kMaxTotal) return std::nullopt;
  if (pause_ms_ != 0) return pause_ms_;
  const std::uint64_t base = std::min(kMaxMs, kFirstMs << std::min(failures_ - 1, 8U));
  return base * 3 / 4 + static_cast<std::uint64_t>(static_cast<double>(base) / 2 * random_);
}

}  // namespace cooper::registry
