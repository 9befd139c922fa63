#include "base/ids.h"

#include <sys/random.h>

#include <algorithm>
#include <array>

#include "base/chars.h"
#include "base/strings.h"

namespace cooper {
namespace {

// Stores are full of digests: looked up, a digit takes no branch.
constexpr auto kLowerHex = [] {
  std::array<unsigned char, 256> table{};
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = is_lower_hex(static_cast<char>(i)) ? 1 : 0;
  return table;
}();

bool is_hex_of_digest(std::string_view text) {
  unsigned char good = 1;
  for (const char c : text) good &= kLowerHex[static_cast<unsigned char>(c)];
  return good != 0;
}

}  // namespace

Result<ContainerId> ContainerId::parse(std::string_view text) {
  if (text.empty()) return Error(Errc::kInvalidArgument, "container id must not be empty");
  if (text.size() > 1024) return Error(Errc::kInvalidArgument, "container id is longer than 1024 bytes");
  const auto allowed = [](char c) { return is_alnum(c) || c == '_' || c == '+' || c == '.' || c == '-'; };
  if (!std::ranges::all_of(text, allowed) || text.front() == '.') {
    // The first words are runc's, which callers match.
    return Error(Errc::kInvalidArgument, "invalid container ID format: " + quoted(text) +
                                             " (use letters, digits, '_', '+', '-' and, not first, '.')");
  }
  return ContainerId(std::string(text));
}

Result<PodUuid> PodUuid::parse(std::string_view text) {
  std::string lower = to_lower(text);
  bool good = lower.size() == 36;
  for (std::size_t i = 0; good && i < lower.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    good = dash ? lower[i] == '-' : is_lower_hex(lower[i]);
  }
  if (!good) return Error(Errc::kInvalidArgument, quoted(text) + " is not a pod UUID");
  return PodUuid(std::move(lower));
}

PodUuid PodUuid::random() {
  std::array<char, 16> bytes{};
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::getrandom(bytes.data() + done, bytes.size() - done, 0);
    if (n > 0) done += static_cast<std::size_t>(n);
  }
  bytes[6] = static_cast<char>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<char>((bytes[8] & 0x3f) | 0x80);
  std::string hex = hex_encode({bytes.data(), bytes.size()});
  for (const std::size_t at : {8U, 13U, 18U, 23U}) hex.insert(at, 1, '-');
  return PodUuid(std::move(hex));
}

Result<AppName> AppName::parse(std::string_view text) {
  bool good = !text.empty() && text.size() <= 63 && text.front() != '-' && text.back() != '-';
  for (std::size_t i = 0; good && i < text.size(); ++i) {
    good = is_lower_alnum(text[i]) || (text[i] == '-' && text[i - 1] != '-');
  }
  if (!good) {
    return Error(Errc::kInvalidArgument,
                 "app name " + quoted(text) +
                     " must be lower-case letters and digits joined by single dashes, at most 63 bytes");
  }
  return AppName(std::string(text));
}

AppName AppName::sanitize(std::string_view text) {
  if (const auto slash = text.rfind('/'); slash != std::string_view::npos) text = text.substr(slash + 1);
  std::string out;
  for (const char c : to_lower(text)) {
    if (is_lower_alnum(c)) {
      out += c;
    } else if (!out.empty() && out.back() != '-') {
      out += '-';
    }
    if (out.size() == 63) break;
  }
  while (!out.empty() && out.back() == '-') out.pop_back();
  return AppName(out.empty() ? "app" : std::move(out));
}

Result<Digest> Digest::parse(std::string_view text) {
  const auto parts = split_once(text, ':');
  const std::size_t want = !parts ? 0 : parts->first == "sha256" ? 64 : parts->first == "sha512" ? 128 : 0;
  if (want == 0 || parts->second.size() != want || !is_hex_of_digest(parts->second)) {
    return Error(Errc::kInvalidArgument, quoted(text) + " is not a digest (sha256:<64 hex> or sha512:<128 hex>)");
  }
  return Digest(std::string(text));
}

}  // namespace cooper
