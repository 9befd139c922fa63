#include "spec/appc/isolators.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/strings.h"
#include "spec/appc/names.h"

namespace cooper::spec::appc {
namespace {

using codec::json::Cursor;
using codec::json::Document;
using codec::json::Type;

constexpr std::string_view kCapabilities = "os/linux/capabilities-";
constexpr std::string_view kSeccomp = "os/linux/seccomp-";
constexpr std::string_view kRetain = "retain-set";
constexpr std::string_view kRemove = "remove-set";
constexpr int kMinOomScore = -1000;
constexpr int kMaxOomScore = 1000;
constexpr std::uint64_t kMinShares = 2;
constexpr std::uint64_t kMaxShares = 262'144;
constexpr std::size_t kMaxFractionDigits = 9;

// Wide enough for any 64-bit number with nine more digits.
__extension__ using Wide = unsigned __int128;

struct Suffix {
  std::string_view word;
  std::uint64_t factor;
};
constexpr std::uint64_t kKilo = 1000;
constexpr std::uint64_t kKibi = 1024;
constexpr std::array<Suffix, 14> kSuffixes = {{{"", 1},
                                               {"k", kKilo},
                                               {"K", kKilo},
                                               {"M", kKilo* kKilo},
                                               {"G", kKilo* kKilo* kKilo},
                                               {"T", kKilo* kKilo* kKilo* kKilo},
                                               {"P", kKilo* kKilo* kKilo* kKilo* kKilo},
                                               {"E", kKilo* kKilo* kKilo* kKilo* kKilo* kKilo},
                                               {"Ki", kKibi},
                                               {"Mi", kKibi << 10},
                                               {"Gi", kKibi << 20},
                                               {"Ti", kKibi << 30},
                                               {"Pi", kKibi << 40},
                                               {"Ei", kKibi << 50}}};

Error bad_quantity(std::string_view text) {
  return Error(Errc::kInvalidArgument, quoted(text) + " is not an amount (as 1.5Gi, 200m, 2M)");
}

// A member that is an amount: text, or a plain number. nullopt when there is none.
Result<std::optional<std::uint64_t>> read_quantity(const Cursor& object, std::string_view name,
                                                   std::uint64_t per_unit) {
  const auto member = object.get(name);
  if (!member) return std::optional<std::uint64_t>();
  std::string text;
  if (member->value().type() == Type::kNumber) {
    ASSIGN_OR_RETURN(const auto number, member->integer<std::uint64_t>());
    text = std::to_string(number);
  } else {
    ASSIGN_OR_RETURN(text, member->string());
  }
  auto amount = parse_quantity(text, per_unit);
  if (!amount.ok()) return member->error(amount.error().message());
  return std::optional(*amount);
}

// {"request":..., "limit":..., "default": bool}; the limit.
Result<std::optional<std::uint64_t>> read_resource(const Cursor& value, std::uint64_t per_unit) {
  RETURN_IF_ERROR(value.expect_object());
  bool is_default = false;
  RETURN_IF_ERROR(value.read("default", is_default));
  ASSIGN_OR_RETURN(const auto request, read_quantity(value, "request", per_unit));
  ASSIGN_OR_RETURN(const auto limit, read_quantity(value, "limit", per_unit));
  if (request && limit && *request > *limit) return value.error("the request is above the limit");
  return limit;
}

Result<std::vector<std::string>> read_set(const Cursor& value) {
  RETURN_IF_ERROR(value.expect_object());
  ASSIGN_OR_RETURN(const Cursor set, value.require("set"));
  ASSIGN_OR_RETURN(std::vector<std::string> names, set.strings());
  if (names.empty()) return set.error("the set is empty");
  if (std::ranges::any_of(names, &std::string::empty)) return set.error("the set has an empty name");
  return names;
}

Status read_capabilities(bool retain, const Cursor& value, Isolation& out) {
  ASSIGN_OR_RETURN(auto names, read_set(value));
  if (out.capabilities && out.capabilities->retain != retain)
    return value.error("capabilities are both retained and removed");
  out.capabilities = CapabilitySet{retain, std::move(names)};
  return {};
}

Status read_seccomp(bool retain, const Cursor& value, Isolation& out) {
  ASSIGN_OR_RETURN(auto names, read_set(value));
  SeccompSet set{.retain = retain, .names = std::move(names), .errno_name = {}};
  RETURN_IF_ERROR(value.read("errno", set.errno_name));
  if (out.seccomp && out.seccomp->retain != retain) return value.error("system calls are both retained and removed");
  out.seccomp = std::move(set);
  return {};
}

Status read_kernel_setting(std::string_view name, const Cursor& value, Isolation& out) {
  if (name == "os/linux/no-new-privileges") {
    ASSIGN_OR_RETURN(const bool set, value.boolean());
    out.no_new_privileges = set || out.no_new_privileges.value_or(false);
  } else if (name == "os/linux/oom-score-adj") {
    ASSIGN_OR_RETURN(const int score, value.integer<int>());
    if (score < kMinOomScore || score > kMaxOomScore) return value.error("must be between -1000 and 1000");
    out.oom_score_adj = score;
  } else if (name == "os/linux/cpu-shares") {
    ASSIGN_OR_RETURN(const auto shares, value.integer<std::uint64_t>());
    if (shares < kMinShares || shares > kMaxShares) return value.error("must be between 2 and 262144");
    out.cpu_shares = shares;
  } else {
    out.others.emplace_back(name);
  }
  return {};
}

}  // namespace

Result<std::uint64_t> parse_quantity(std::string_view text, std::uint64_t per_unit) {
  const std::size_t end = text.find_first_not_of("0123456789.");
  const std::string_view number = text.substr(0, end);
  std::string_view word = end == std::string_view::npos ? std::string_view() : text.substr(end);
  std::uint64_t divisor = 1;
  if (word == "m") {
    divisor = kKilo;
    word = {};
  }
  const auto suffix = std::ranges::find(kSuffixes, word, &Suffix::word);
  const auto parts = split_once(number, '.').value_or(std::pair(number, std::string_view("0")));
  const auto whole = parse_number<std::uint64_t>(parts.first);
  const std::string_view digits = parts.second.substr(0, kMaxFractionDigits);
  const auto fraction = parse_number<std::uint64_t>(digits);
  if (suffix == kSuffixes.end() || !whole || !fraction || parts.second.find('.') != std::string_view::npos)
    return bad_quantity(text);
  std::uint64_t tens = 1;
  for (std::size_t i = 0; i < digits.size(); ++i) tens *= 10;
  Wide amount = Wide{*whole} * tens + *fraction;
  if (__builtin_mul_overflow(amount, Wide{suffix->factor} * per_unit, &amount))
    return Error(Errc::kLimit, "amount " + quoted(text) + " is too large");
  const Wide unit = Wide{tens} * divisor;
  amount = amount / unit + (amount % unit != 0 ? 1 : 0);
  if (amount > std::numeric_limits<std::uint64_t>::max())
    return Error(Errc::kLimit, "amount " + quoted(text) + " is too large");
  return static_cast<std::uint64_t>(amount);
}

Status read_isolator(std::string_view name, const Cursor& value, Isolation& out) {
  if (name == "resource/memory") {
    ASSIGN_OR_RETURN(const auto limit, read_resource(value, 1));
    if (limit) out.memory_limit_bytes = limit;
    return {};
  }
  if (name == "resource/cpu") {
    ASSIGN_OR_RETURN(const auto limit, read_resource(value, kKilo));
    if (limit) out.cpu_limit_milli = limit;
    return {};
  }
  if (name.starts_with("resource/")) {
    if (name == "resource/block-bandwidth" || name == "resource/block-iops" || name == "resource/network-bandwidth") {
      ASSIGN_OR_RETURN([[maybe_unused]] const auto limit, read_resource(value, 1));
    }
    out.others.emplace_back(name);
    return {};
  }
  for (const bool retain : {true, false}) {
    const std::string_view word = retain ? kRetain : kRemove;
    if (name.starts_with(kCapabilities) && name.substr(kCapabilities.size()) == word)
      return read_capabilities(retain, value, out);
    if (name.starts_with(kSeccomp) && name.substr(kSeccomp.size()) == word) return read_seccomp(retain, value, out);
  }
  return read_kernel_setting(name, value, out);
}

Result<Isolation> read_isolators(const std::vector<Isolator>& isolators) {
  Isolation out;
  for (const Isolator& isolator : isolators) {
    ASSIGN_OR_RETURN(const Document document, Document::parse(isolator.value_json, isolator.name));
    RETURN_IF_ERROR(read_isolator(isolator.name, Cursor(document.root(), isolator.name), out));
  }
  return out;
}

}  // namespace cooper::spec::appc
