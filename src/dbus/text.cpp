// GVariant's text form: a recursive descent over the text with an optional expected type, which "@type" and the words
// before numbers (uint32 5) set and arrays hand from their first element to the others.
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "base/chars.h"
#include "base/strings.h"
#include "dbus/internal/wire.h"
#include "dbus/value.h"

namespace cooper::dbus {
namespace {

struct TypeWord {
  std::string_view word;
  std::string_view type;
};
constexpr std::array kTypeWords = std::to_array<TypeWord>({
    {"boolean", "b"},
    {"byte", "y"},
    {"int16", "n"},
    {"uint16", "q"},
    {"int32", "i"},
    {"uint32", "u"},
    {"int64", "x"},
    {"uint64", "t"},
    {"double", "d"},
    {"string", "s"},
    {"objectpath", "o"},
    {"signature", "g"},
});

constexpr std::size_t kMaxText = std::size_t{64} << 10;

void append_utf8(std::string& out, std::uint32_t point) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | ((point >> shift) & 0x3f)); };
  if (point < 0x80) {
    out += static_cast<char>(point);
  } else if (point < 0x800) {
    out += static_cast<char>(0xc0 | point >> 6);
    tail(0);
  } else if (point < 0x10000) {
    out += static_cast<char>(0xe0 | point >> 12);
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xf0 | point >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

bool is_word_char(char c) {
  return is_alnum(c) || c == '_';
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Value> whole() {
    if (text_.size() > kMaxText) return Error(Errc::kLimit, "value is longer than 64 KiB", E2BIG);
    ASSIGN_OR_RETURN(Value out, value("", 0));
    skip_blanks();
    if (at_ != text_.size()) return bad("unexpected text behind the value");
    return out;
  }

 private:
  Error bad(std::string_view why) const {
    return Error(Errc::kInvalidArgument, std::string(why) + " at byte " + std::to_string(at_ + 1), EINVAL);
  }
  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
      ++at_;
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(char c) {
    skip_blanks();
    if (peek() != c || at_ >= text_.size()) return false;
    ++at_;
    return true;
  }
  std::string_view word() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && is_word_char(text_[at_])) ++at_;
    return text_.substr(begin, at_ - begin);
  }

  Result<Value> value(std::string_view expected, int depth);
  Result<Value> annotated(int depth);
  Result<Value> keyword(std::string_view expected, int depth);
  Result<Value> string(std::string_view expected);
  Result<std::string> quoted_text();
  Status escape(std::string& out);
  Result<std::uint32_t> code_point(std::size_t digits);
  Result<Value> byte_string();
  Result<Value> number(std::string_view expected);
  Result<Value> whole_number(std::string_view digits, std::string_view type) const;
  Result<Value> array(std::string_view expected, int depth);
  Result<Value> tuple(std::string_view expected, int depth);
  Result<Value> dictionary(std::string_view expected, int depth);
  Result<Value> variant(int depth);

  std::string_view text_;
  std::size_t at_ = 0;
};

Result<Value> Parser::value(std::string_view expected, int depth) {
  if (depth >= kMaxDepth) return bad("too many levels");
  skip_blanks();
  const char c = peek();
  ASSIGN_OR_RETURN(Value out, [&]() -> Result<Value> {
    if (c == '@') return annotated(depth);
    if (c == '\'' || c == '"') return string(expected);
    if (c == 'b' && at_ + 1 < text_.size() && (text_[at_ + 1] == '\'' || text_[at_ + 1] == '"')) return byte_string();
    if (c == '[') return array(expected, depth);
    if (c == '(') return tuple(expected, depth);
    if (c == '{') return dictionary(expected, depth);
    if (c == '<') return variant(depth);
    if (c == '+' || c == '-' || c == '.' || is_digit(c)) return number(expected);
    return keyword(expected, depth);
  }());
  if (!expected.empty() && out.type != expected)
    return bad("a value of type " + quoted(out.type) + " where " + quoted(expected) + " is expected, ending");
  return out;
}

Result<Value> Parser::annotated(int depth) {
  ++at_;
  const std::size_t length = complete_type_length(text_.substr(at_, 255));
  if (length == 0) return bad("no type behind '@'");
  const std::string_view type = text_.substr(at_, length);
  at_ += length;
  return value(type, depth + 1);
}

Result<Value> Parser::keyword(std::string_view expected, int depth) {
  const std::size_t begin = at_;
  const std::string_view name = word();
  if (name == "true" || name == "false") return Value::boolean(name == "true");
  if (name == "inf" || name == "nan") {
    at_ = begin;
    return number(expected);
  }
  for (const TypeWord& entry : kTypeWords) {
    if (entry.word == name) return value(entry.type, depth + 1);
  }
  at_ = begin;
  if (at_ == text_.size()) return bad("a value is missing");
  return bad("unknown value " + quoted(text_.substr(at_, 20)));
}

Result<std::uint32_t> Parser::code_point(std::size_t digits) {
  if (text_.size() - at_ < digits) return bad("incomplete escape");
  std::uint32_t point = 0;
  const auto* first = text_.data() + at_;
  const auto [end, ec] = std::from_chars(first, first + digits, point, 16);
  if (ec != std::errc{} || end != first + digits) return bad("incomplete escape");
  if (point == 0 || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return bad("no such character");
  at_ += digits;
  return point;
}

Status Parser::escape(std::string& out) {
  if (at_ >= text_.size()) return bad("unterminated text");
  const char c = text_[at_++];
  if (c == '\0') return bad("text contains a NUL byte");
  constexpr std::string_view kNames = "abfnrtv";
  constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v";
  if (const auto name = kNames.find(c); name != std::string_view::npos) {
    out += kMeanings[name];
  } else if (c == 'u' || c == 'U') {
    ASSIGN_OR_RETURN(const std::uint32_t point, code_point(c == 'u' ? 4 : 8));
    append_utf8(out, point);
  } else {
    out += c;
  }
  return {};
}

Result<std::string> Parser::quoted_text() {
  const char mark = text_[at_++];
  std::string out;
  while (at_ < text_.size() && text_[at_] != mark) {
    const char c = text_[at_++];
    if (c == '\0') return bad("text contains a NUL byte");
    if (c == '\\') {
      RETURN_IF_ERROR(escape(out));
    } else {
      out += c;
    }
  }
  if (at_ >= text_.size()) return bad("unterminated text");
  ++at_;
  return out;
}

Result<Value> Parser::string(std::string_view expected) {
  ASSIGN_OR_RETURN(std::string text, quoted_text());
  if (expected == "o") {
    if (!is_object_path(text)) return bad("no object path: " + quoted(text));
    return Value::object_path(std::move(text));
  }
  if (expected == "g") {
    if (!is_signature(text)) return bad("no signature: " + quoted(text));
    return Value{"g", std::move(text)};
  }
  return Value::string(std::move(text));
}

// An array of bytes that ends with a NUL.
Result<Value> Parser::byte_string() {
  ++at_;
  const char mark = text_[at_++];
  std::vector<std::uint8_t> out;
  while (at_ < text_.size() && text_[at_] != mark) {
    char c = text_[at_++];
    if (c == '\\' && at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '7') {
      unsigned code = 0;
      for (int i = 0; i < 3 && at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '7'; ++i)
        code = code * 8 + static_cast<unsigned>(text_[at_++] - '0');
      if (code > 255) return bad("no such byte");
      out.push_back(static_cast<std::uint8_t>(code));
      continue;
    }
    if (c == '\\') {
      std::string one;
      RETURN_IF_ERROR(escape(one));
      for (const char byte : one) out.push_back(static_cast<std::uint8_t>(byte));
      continue;
    }
    out.push_back(static_cast<std::uint8_t>(c));
  }
  if (at_ >= text_.size()) return bad("unterminated text");
  ++at_;
  out.push_back(0);
  return Value::bytes(out);
}

Result<Value> Parser::whole_number(std::string_view digits, std::string_view type) const {
  const bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+')) digits.remove_prefix(1);
  int base = 10;
  if (digits.starts_with("0x") || digits.starts_with("0X")) {
    base = 16;
    digits.remove_prefix(2);
  } else if (digits.size() > 1 && digits[0] == '0') {
    base = 8;
  }
  std::uint64_t magnitude = 0;
  const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), magnitude, base);
  if (digits.empty() || ec != std::errc{} || end != digits.data() + digits.size())
    return bad("malformed number before");
  const std::uint64_t number = negative ? 0 - magnitude : magnitude;
  const bool is_signed = type == "n" || type == "i" || type == "x";
  const std::uint64_t limit = std::uint64_t{1} << 63;
  const bool fits = is_signed ? magnitude < limit || (negative && magnitude == limit) : !negative || magnitude == 0;
  if (!fits || wire::narrow(number, type[0]) != number) return bad("number does not fit its type, before");
  return Value{std::string(type), number};
}

Result<Value> Parser::number(std::string_view expected) {
  const std::size_t begin = at_;
  while (at_ < text_.size() &&
         (is_word_char(text_[at_]) || text_[at_] == '.' || text_[at_] == '+' || text_[at_] == '-'))
    ++at_;
  std::string_view digits = text_.substr(begin, at_ - begin);
  const bool hex = digits.find('x') != std::string_view::npos || digits.find('X') != std::string_view::npos;
  const bool real = !hex && digits.find_first_of(".eE") != std::string_view::npos;
  const bool word = digits.find("inf") != std::string_view::npos || digits.find("nan") != std::string_view::npos;
  if (expected == "d" || real || word) {
    if (digits.starts_with('+')) digits.remove_prefix(1);
    double out = 0;
    const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
    if (digits.empty() || ec != std::errc{} || end != digits.data() + digits.size())
      return bad("malformed number before");
    return Value{"d", out};
  }
  const bool known = expected.size() == 1 && expected != "b" && wire::width(expected[0]) != 0;
  return whole_number(digits, known ? expected : "i");
}

Result<Value> Parser::array(std::string_view expected, int depth) {
  ++at_;
  std::string element;
  if (!expected.empty()) {
    if (expected[0] != 'a') return bad("an array where " + quoted(expected) + " is expected");
    element = expected.substr(1);
  }
  std::vector<Value> parts;
  if (!take(']')) {
    do {
      ASSIGN_OR_RETURN(Value part, value(element, depth + 1));
      if (element.empty()) element = part.type;
      parts.push_back(std::move(part));
    } while (take(','));
    if (!take(']')) return bad("an array is not closed");
  }
  if (element.empty()) return bad("an empty array needs a type, as in '@as []'");
  return Value::array(std::move(element), std::move(parts));
}

Result<Value> Parser::tuple(std::string_view expected, int depth) {
  ++at_;
  std::string_view types;
  if (!expected.empty()) {
    if (expected[0] != '(') return bad("a tuple where " + quoted(expected) + " is expected");
    types = expected.substr(1, expected.size() - 2);
  }
  std::vector<Value> parts;
  while (!take(')')) {
    if (!parts.empty() && !take(',')) return bad("a tuple is not closed");
    if (!parts.empty() && take(')')) break;  // (1,)
    const std::size_t length = complete_type_length(types);
    ASSIGN_OR_RETURN(Value part, value(types.substr(0, length), depth + 1));
    types.remove_prefix(length);
    parts.push_back(std::move(part));
  }
  if (parts.empty()) return bad("D-Bus has no empty tuple");
  return Value::structure(std::move(parts));
}

Result<Value> Parser::dictionary(std::string_view expected, int depth) {
  ++at_;
  std::string key_type;
  std::string value_type;
  if (!expected.empty()) {
    if (!expected.starts_with("a{")) return bad("a dictionary where " + quoted(expected) + " is expected");
    key_type = expected.substr(2, 1);
    value_type = expected.substr(3, expected.size() - 4);
  }
  std::vector<Value> parts;
  if (!take('}')) {
    do {
      ASSIGN_OR_RETURN(Value key, value(key_type, depth + 2));
      if (key.type.size() != 1 || key.type == "v") return bad("no key of a dictionary:");
      if (!take(':')) return bad("a dictionary's key has no value");
      ASSIGN_OR_RETURN(Value item, value(value_type, depth + 2));
      key_type = key.type;
      value_type = item.type;
      std::vector<Value> pair;
      pair.push_back(std::move(key));
      pair.push_back(std::move(item));
      parts.push_back({"{" + key_type + value_type + "}", std::move(pair)});
    } while (take(','));
    if (!take('}')) return bad("a dictionary is not closed");
  }
  if (key_type.empty()) return bad("an empty dictionary needs a type, as in '@a{sv} {}'");
  return Value::array("{" + key_type + value_type + "}", std::move(parts));
}

Result<Value> Parser::variant(int depth) {
  ++at_;
  ASSIGN_OR_RETURN(Value inner, value("", depth + 1));
  if (!take('>')) return bad("a variant is not closed");
  return Value::variant(std::move(inner));
}

std::string print_string(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += "\\u00";
      out += hex_encode({&c, 1});
    } else {
      out += c;
    }
  }
  return out + "'";
}

std::string print_number(const Value& value) {
  if (const auto* real = std::get_if<double>(&value.data)) {
    std::array<char, 64> buffer{};
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), *real).ptr;
    std::string out(buffer.data(), end);
    if (out.find_first_of(".en") == std::string::npos) out += ".0";
    return out;
  }
  const char type = value.type[0];
  if (type == 'n' || type == 'i' || type == 'x') return std::to_string(static_cast<std::int64_t>(value.number()));
  return std::to_string(value.number());
}

}  // namespace

Result<Value> parse_text(std::string_view text) {
  ASSIGN_OR_RETURN(Value out, Parser(text).whole());
  if (complete_type_length(out.type) != out.type.size())
    return Error(Errc::kInvalidArgument, "value has more levels than D-Bus allows", EINVAL);
  return out;
}

std::string print_text(const Value& value) {
  const auto list = [&](std::string_view open, std::string_view close) {
    std::string out(open);
    for (const Value& part : value.parts()) out += (out.size() > open.size() ? ", " : "") + print_text(part);
    return out + std::string(close);
  };
  const std::string& type = value.type;
  if (type == "b") return value.number() != 0 ? "true" : "false";
  if (type == "s") return print_string(value.text());
  if (type == "o") return "objectpath " + print_string(value.text());
  if (type == "g") return "signature " + print_string(value.text());
  if (type == "v") return list("<", ">");
  if (type[0] == '(') return list("(", value.parts().size() == 1 ? ",)" : ")");
  if (type[0] == '{') return print_text(value.parts()[0]) + ": " + print_text(value.parts()[1]);
  if (type[0] == 'a') {
    const std::string_view open = type[1] == '{' ? "{" : "[";
    return (value.parts().empty() ? "@" + type + " " : "") + list(open, open == "{" ? "}" : "]");
  }
  if (type == "i" || type == "d") return print_number(value);
  for (const TypeWord& entry : kTypeWords) {
    if (entry.type == type) return std::string(entry.word) + " " + print_number(value);
  }
  return print_number(value);
}

}  // namespace cooper::dbus
