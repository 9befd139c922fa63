#include "cli/cooper/toml.h"

#include <optional>
#include <set>

#include "base/chars.h"
#include "base/strings.h"

namespace cooper::cli::toml {
namespace {

bool is_bare(char c) {
  return is_alnum(c) || c == '_' || c == '-';
}

void append_utf8(std::string& out, std::uint32_t point) {
  const auto put = [&](std::uint32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xc0 | point >> 6);
    put(0x80 | (point & 0x3f));
  } else if (point < 0x10000) {
    put(0xe0 | point >> 12);
    put(0x80 | (point >> 6 & 0x3f));
    put(0x80 | (point & 0x3f));
  } else {
    put(0xf0 | point >> 18);
    put(0x80 | (point >> 12 & 0x3f));
    put(0x80 | (point >> 6 & 0x3f));
    put(0x80 | (point & 0x3f));
  }
}

class Parser {
 public:
  Parser(std::string_view text, std::string_view what) : text_(text), what_(what) {}

  Result<Document> run() {
    while (true) {
      skip_blank_lines();
      if (at_end()) return std::move(document_);
      RETURN_IF_ERROR(peek() == '[' ? table() : pair());
      RETURN_IF_ERROR(end_of_line());
    }
  }

 private:
  bool at_end() const { return at_ >= text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  Error error(const std::string& message) const {
    return Error(Errc::kInvalidArgument, std::string(what_) + ", line " + std::to_string(line_) + ": " + message);
  }
  void skip_spaces() {
    while (peek() == ' ' || peek() == '\t') ++at_;
  }
  void skip_comment() {
    if (peek() != '#') return;
    while (!at_end() && peek() != '\n') ++at_;
  }
  // Spaces, comments and line ends: before a line, and between the elements of an array.
  void skip_blank_lines() {
    while (true) {
      skip_spaces();
      skip_comment();
      if (peek() == '\r' && text_.substr(at_, 2) == "\r\n") ++at_;
      if (peek() != '\n' || at_end()) return;
      ++line_;
      ++at_;
    }
  }
  Status end_of_line() {
    skip_spaces();
    skip_comment();
    if (text_.substr(at_, 2) == "\r\n") ++at_;
    if (at_end() || peek() == '\n') return {};
    return error("unexpected text after the value");
  }

  Result<std::string> bare_key() {
    const std::size_t start = at_;
    while (!at_end() && is_bare(peek())) ++at_;
    if (at_ == start) return error("expected a key of letters, digits, '_' and '-'");
    return std::string(text_.substr(start, at_ - start));
  }

  Status table() {
    ++at_;
    if (peek() == '[') return error("arrays of tables are not supported");
    std::string name;
    while (true) {
      skip_spaces();
      ASSIGN_OR_RETURN(const std::string part, bare_key());
      name += part;
      skip_spaces();
      if (peek() != '.') break;
      name += '.';
      ++at_;
    }
    if (peek() != ']') return error("expected ']' after the table's name");
    ++at_;
    if (!tables_.insert(name).second) return error("table [" + name + "] is there twice");
    prefix_ = name + '.';
    return {};
  }

  Status pair() {
    const int line = line_;
    ASSIGN_OR_RETURN(const std::string key, bare_key());
    skip_spaces();
    if (peek() != '=') return error("expected '=' after the key " + quoted(key));
    ++at_;
    skip_spaces();
    Value value;
    value.line = line;
    if (peek() == '[') {
      ASSIGN_OR_RETURN(value.data, array());
    } else {
      ASSIGN_OR_RETURN(Scalar one, scalar());
      std::visit([&](auto& v) { value.data = std::move(v); }, one);
    }
    if (!document_.emplace(prefix_ + key, std::move(value)).second)
      return error("key " + quoted(prefix_ + key) + " is there twice");
    return {};
  }

  Result<std::vector<Scalar>> array() {
    ++at_;
    std::vector<Scalar> elements;
    while (true) {
      skip_blank_lines();
      if (peek() == ']') break;
      ASSIGN_OR_RETURN(Scalar element, scalar());
      if (!elements.empty() && elements.front().index() != element.index()) return error("the array mixes types");
      elements.push_back(std::move(element));
      skip_blank_lines();
      if (peek() == ']') break;
      if (peek() != ',') return error("expected ',' or ']' in the array");
      ++at_;
    }
    ++at_;
    return elements;
  }

  Result<Scalar> scalar() {
    if (peek() == '"') return basic_string();
    if (peek() == '\'') return literal_string();
    const std::size_t start = at_;
    while (!at_end() && (is_bare(peek()) || peek() == '+' || peek() == '.' || peek() == ':')) ++at_;
    std::string_view word = text_.substr(start, at_ - start);
    if (word == "true") return Scalar(true);
    if (word == "false") return Scalar(false);
    if (const auto number = integer(word)) return Scalar(*number);
    if (word.empty()) return error("expected a value");
    return error("value " + quoted(word) + " is no integer and no boolean (text needs quotes)");
  }

  static std::optional<std::int64_t> integer(std::string_view word) {
    if (word.starts_with('+')) word.remove_prefix(1);
    std::string digits;
    for (std::size_t i = 0; i < word.size(); ++i) {
      const bool between = i > 0 && i + 1 < word.size() && word[i - 1] != '_' && word[i - 1] != '-';
      if (word[i] == '_' && between) continue;
      digits += word[i];
    }
    const std::string_view magnitude = std::string_view(digits).substr(digits.starts_with('-') ? 1 : 0);
    if (magnitude.size() > 1 && magnitude[0] == '0') return std::nullopt;
    return parse_number<std::int64_t>(digits);
  }

  Result<Scalar> literal_string() {
    if (text_.substr(at_, 3) == "'''") return error("strings of several lines are not supported");
    const std::size_t start = ++at_;
    while (!at_end() && peek() != '\'' && peek() != '\n') ++at_;
    if (peek() != '\'') return error("the string has no end");
    const std::string_view body = text_.substr(start, at_ - start);
    ++at_;
    RETURN_IF_ERROR(check(body));
    return Scalar(std::string(body));
  }

  Result<Scalar> basic_string() {
    if (text_.substr(at_, 3) == "\"\"\"") return error("strings of several lines are not supported");
    ++at_;
    std::string out;
    while (true) {
      if (at_end() || peek() == '\n') return error("the string has no end");
      const char c = text_[at_++];
      if (c == '"') break;
      if (c == '\\') {
        RETURN_IF_ERROR(escape(out));
      } else {
        out += c;
      }
    }
    RETURN_IF_ERROR(check(out));
    return Scalar(std::move(out));
  }

  Status escape(std::string& out) {
    if (at_end()) return error("the string has no end");
    const char c = text_[at_++];
    constexpr std::string_view kLetters = "btnfr\"\\";
    constexpr std::string_view kMeaning = "\b\t\n\f\r\"\\";
    if (const std::size_t i = kLetters.find(c); i != std::string_view::npos) {
      out += kMeaning[i];
      return {};
    }
    if (c != 'u' && c != 'U') return error(std::string("unknown escape '\\") + (is_bare(c) ? c : '?') + "'");
    const std::size_t digits = c == 'u' ? 4 : 8;
    const std::string_view hex = text_.substr(at_, digits);
    std::uint32_t point = 0;
    const auto [end, ec] = std::from_chars(hex.data(), hex.data() + hex.size(), point, 16);
    if (hex.size() != digits || ec != std::errc{} || end != hex.data() + hex.size() || point > 0x10ffff ||
        (point >= 0xd800 && point < 0xe000)) {
      return error("the escape names no character");
    }
    at_ += digits;
    append_utf8(out, point);
    return {};
  }

  Status check(std::string_view body) const {
    for (const char c : body) {
      if (c == '\0') return error("the string holds a NUL byte");
    }
    return {};
  }

  std::string_view text_;
  std::string_view what_;
  std::size_t at_ = 0;
  int line_ = 1;
  std::string prefix_;
  std::set<std::string> tables_;
  Document document_;
};

}  // namespace

Result<Document> parse(std::string_view text, std::string_view what) {
  return Parser(text, what).run();
}

}  // namespace cooper::cli::toml
