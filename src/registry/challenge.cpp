#include "registry/challenge.h"

#include <algorithm>

#include "base/chars.h"
#include "base/percent.h"
#include "base/strings.h"
#include "codec/json.h"
#include "registry/url.h"

namespace cooper::registry {
namespace {

constexpr std::size_t kMaxTokenBytes = std::size_t{64} << 10;
constexpr std::size_t kMaxChallenges = 16;

// RFC 9110, 5.6.2.
bool is_token_character(char c) {
  return is_alnum(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) : left_(text) {}
  bool done() const { return left_.empty(); }
  void skip(std::string_view characters) {
    left_.remove_prefix(std::min(left_.find_first_not_of(characters), left_.size()));
  }
  bool take(char c) {
    if (!left_.starts_with(c)) return false;
    left_.remove_prefix(1);
    return true;
  }
  std::string_view word() {
    const auto* const end = std::ranges::find_if_not(left_, is_token_character);
    const std::string_view out = left_.substr(0, static_cast<std::size_t>(end - left_.begin()));
    left_.remove_prefix(out.size());
    return out;
  }
  // The rest of a quoted text whose opening quote was taken; false without a closing one.
  bool quoted_rest(std::string& out) {
    for (std::size_t i = 0; i < left_.size(); ++i) {
      if (left_[i] == '"') {
        left_.remove_prefix(i + 1);
        return true;
      }
      if (left_[i] == '\\' && i + 1 < left_.size()) ++i;
      out += left_[i];
    }
    return false;
  }
  Scanner mark() const { return *this; }

 private:
  std::string_view left_;
};

// name=value, or nothing taken. False when the value cannot be read.
bool take_parameter(Scanner& scanner, Challenge& challenge, bool& taken) {
  Scanner ahead = scanner.mark();
  const std::string name = to_lower(ahead.word());
  ahead.skip(" \t");
  taken = !name.empty() && ahead.take('=');
  if (!taken) return true;
  ahead.skip(" \t");
  std::string value;
  if (ahead.take('"')) {
    if (!ahead.quoted_rest(value)) return false;
  } else {
    value = std::string(ahead.word());
  }
  challenge.parameters.emplace(name, std::move(value));
  scanner = ahead;
  return true;
}

}  // namespace

std::string Challenge::parameter(const std::string& name) const {
  const auto found = parameters.find(name);
  return found == parameters.end() ? std::string() : found->second;
}

std::vector<Challenge> parse_challenges(std::string_view header) {
  std::vector<Challenge> out;
  Scanner scanner(header);
  while (out.size() < kMaxChallenges) {
    scanner.skip(" \t,");
    if (scanner.done()) break;
    Challenge challenge{.scheme = to_lower(scanner.word()), .parameters = {}};
    if (challenge.scheme.empty()) break;
    bool taken = true;
    while (taken) {
      scanner.skip(" \t,");
      if (!take_parameter(scanner, challenge, taken)) return out;
    }
    out.push_back(std::move(challenge));
  }
  return out;
}

Result<std::string> parse_token(std::string text, std::string_view what) {
  using codec::json::Cursor;
  ASSIGN_OR_RETURN(const auto document, codec::json::Document::parse(std::move(text), what));
  const Cursor root(document.root(), what);
  RETURN_IF_ERROR(root.expect_object());
  std::string token;
  RETURN_IF_ERROR(root.read("token", token));
  if (token.empty()) RETURN_IF_ERROR(root.read("access_token", token));
  const bool printable = std::ranges::all_of(token, [](char c) { return c > 0x20 && c < 0x7f; });
  if (token.empty() || !printable || token.size() > kMaxTokenBytes) return root.error("has no usable token");
  return token;
}

std::string scope_of(const Challenge& challenge, const std::string& repository, Access access) {
  const std::string scope = challenge.parameter("scope");
  const std::string ours = "repository:" + repository + ":";
  if (access == Access::kPull) return scope.empty() ? ours + "pull" : scope;
  std::string out = ours + "pull,push";
  for (const std::string_view one : split(scope, ' ')) {
    if (!one.empty() && !one.starts_with(ours)) out.append(" ").append(one);
  }
  return out;
}

std::string token_url(const Challenge& challenge, const std::string& repository, Access access,
                      const std::string& account) {
  std::string url = challenge.parameter("realm");
  url += url.find('?') == std::string::npos ? '?' : '&';
  if (const std::string service = challenge.parameter("service"); !service.empty())
    url += "service=" + percent_encode(service) + "&";
  std::string_view separator;
  // One parameter for each: not every service takes them apart.
  const std::string scopes = scope_of(challenge, repository, access);
  for (const std::string_view one : split(scopes, ' ')) {
    url.append(separator).append("scope=").append(percent_encode(one));
    separator = "&";
  }
  if (!account.empty()) url += "&account=" + percent_encode(account);
  return url;
}

}  // namespace cooper::registry
