#include <algorithm>
#include <array>
#include <optional>

#include "base/chars.h"
#include "base/strings.h"
#include "trust/internal/gpgv_status.h"

namespace cooper::trust {
namespace {

constexpr std::string_view kPrefix = "[GNUPG:] ";

enum class Verdict { kNone, kGood, kBad, kExpired, kKeyExpired, kRevoked, kUnknownKey, kUnchecked };

struct Word {
  std::string_view word;
  Verdict verdict;
};
constexpr std::array<Word, 6> kVerdicts = {{{"GOODSIG", Verdict::kGood},
                                            {"BADSIG", Verdict::kBad},
                                            {"EXPSIG", Verdict::kExpired},
                                            {"EXPKEYSIG", Verdict::kKeyExpired},
                                            {"REVKEYSIG", Verdict::kRevoked},
                                            {"ERRSIG", Verdict::kUnchecked}}};
// Of ERRSIG.
constexpr std::string_view kNoPublicKey = "9";
// OpenPGP's numbers of MD5, SHA-1 and RIPEMD-160: others can make the same digest of something else.
constexpr std::array<std::string_view, 3> kWeakDigests = {"1", "2", "3"};
// Signatures of a document, binary and text; all others are about keys.
constexpr std::array<std::string_view, 2> kDocumentClasses = {"00", "01"};

template <std::size_t n>
bool is_one_of(std::string_view word, const std::array<std::string_view, n>& words) {
  return std::ranges::find(words, word) != words.end();
}

// One signature, from its verdict on.
struct Found {
  Verdict verdict = Verdict::kNone;
  std::string key;  // as the verdict names it
  std::optional<Signature> valid;
  bool weak = false;
};

bool is_fingerprint(std::string_view text) {
  return text.size() == 40 && std::ranges::all_of(text, is_hex);
}

// VALIDSIG fingerprint date time expires version reserved key-algorithm digest class [fingerprint of the main key]
std::optional<Signature> read_valid(const std::vector<std::string_view>& words, bool& weak) {
  if (words.size() < 10 || !is_fingerprint(words[1]) || !is_one_of(words[9], kDocumentClasses)) return std::nullopt;
  const std::string_view main_key = words.size() > 10 ? words[10] : words[1];
  const auto made = parse_number<std::int64_t>(words[3]);
  const auto expires = parse_number<std::int64_t>(words[4]);
  if (!is_fingerprint(main_key) || !made || !expires) return std::nullopt;
  weak = is_one_of(words[8], kWeakDigests);
  return Signature{.fingerprint = to_lower(main_key),
                   .made_by = to_lower(words[1]),
                   .user_id = {},
                   .made_unix_s = *made,
                   .expires_unix_s = *expires};
}

std::vector<Found> read_lines(std::string_view text) {
  std::vector<Found> out;
  std::string user_id;
  for (std::string_view line : split(text, '\n')) {
    if (!line.starts_with(kPrefix)) continue;
    line.remove_prefix(kPrefix.size());
    const auto words = split(line, ' ');
    if (words[0] == "NEWSIG") out.emplace_back();
    if (out.empty()) continue;
    Found& now = out.back();
    const auto* known = std::ranges::find(kVerdicts, words[0], &Word::word);
    if (known != kVerdicts.end()) {
      // The first one stands, and a bad one whatever else is said.
      if (now.verdict == Verdict::kNone || known->verdict == Verdict::kBad) now.verdict = known->verdict;
      if (words.size() > 1) now.key = to_lower(words[1]);
      if (now.verdict == Verdict::kUnchecked && words.size() > 6 && words[6] == kNoPublicKey)
        now.verdict = Verdict::kUnknownKey;
      if (now.verdict == Verdict::kUnknownKey && words.size() > 7 && is_fingerprint(words[7]))
        now.key = to_lower(words[7]);
      const std::size_t id = words.size() > 2 ? words[0].size() + words[1].size() + 2 : line.size();
      user_id = printable(line.substr(id));
    } else if (words[0] == "VALIDSIG" && !now.valid) {
      now.valid = read_valid(words, now.weak);
      if (now.valid) now.valid->user_id = user_id;
    }
  }
  return out;
}

Error refusal(const Found& found) {
  const std::string key = found.valid ? found.valid->fingerprint : found.key;
  const std::string name = print_fingerprint(key);
  switch (found.verdict) {
    case Verdict::kBad:
      return {Errc::kCorrupt, "the signature by key " + name + " does not match: something was changed"};
    case Verdict::kExpired:
      return {Errc::kPermission, "the signature by key " + name + " has expired"};
    case Verdict::kKeyExpired:
      return Error(Errc::kPermission, "key " + name + " has expired")
          .with_hint("its owner may have published it again with a later end: cooper trust add");
    case Verdict::kRevoked:
      return {Errc::kPermission, "key " + name + " was revoked by its owner"};
    case Verdict::kUnknownKey:
      return Error(Errc::kPermission, "it was signed by key " + name + ", which is not trusted for it")
          .with_hint("if it should be: cooper trust add");
    case Verdict::kGood:
      if (found.weak)
        return {Errc::kPermission, "the signature by key " + name + " is made of a digest that is too weak"};
      [[fallthrough]];
    case Verdict::kNone:
    case Verdict::kUnchecked:
      break;
  }
  return {Errc::kPermission, "the signature cannot be checked" + (key.empty() ? "" : ": it is by key " + name)};
}

}  // namespace

Result<std::vector<Signature>> read_status(std::string_view text, std::span<const Key> keys) {
  const std::vector<Found> all = read_lines(text);
  if (all.empty()) return Error(Errc::kInvalidArgument, "there is no OpenPGP signature in it");
  std::vector<Signature> good;
  const Found* worst = &all.front();
  for (const Found& found : all) {
    if (found.verdict == Verdict::kBad) return refusal(found);
    const bool given =
        found.valid && std::ranges::find(keys, found.valid->fingerprint, &Key::fingerprint) != keys.end();
    if (found.verdict == Verdict::kGood && given && !found.weak) {
      good.push_back(*found.valid);
    } else if (worst->verdict == Verdict::kUnknownKey) {
      // What is wrong with a known key tells more.
      worst = &found;
    }
  }
  if (good.empty()) return refusal(*worst);
  return good;
}

}  // namespace cooper::trust
