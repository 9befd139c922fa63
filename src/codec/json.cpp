#include "codec/json.h"

#include <charconv>
#include <cmath>

#include "base/strings.h"

#define RAPIDJSON_ASSERT(x) COOPER_ASSERT(x)
#include <rapidjson/document.h>
#include <rapidjson/error/en.h>

namespace cooper::codec::json {
namespace {

const rapidjson::Value& node(const void* p) {
  return *static_cast<const rapidjson::Value*>(p);
}

// RapidJSON's iterative parser has no limits of its own, so the text is scanned once before.
Status check_limits(std::string_view text, std::string_view what) {
  int depth = 0;
  std::size_t values = 1;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      ++values;
      if (++depth > kMaxDepth)
        return Error(Errc::kLimit, std::string(what) + ": nested deeper than " + std::to_string(kMaxDepth) + " levels");
    } else if (c == ']' || c == '}') {
      --depth;
    } else if (c == ',' || c == ':') {
      ++values;
    }
  }
  if (values > kMaxValues)
    return Error(Errc::kLimit, std::string(what) + ": has more than " + std::to_string(kMaxValues) + " values");
  return {};
}

std::string position(std::string_view text, std::size_t offset) {
  std::size_t line = 1;
  std::size_t start = 0;
  for (std::size_t i = 0; i < offset && i < text.size(); ++i) {
    if (text[i] == '\n') {
      ++line;
      start = i + 1;
    }
  }
  return "line " + std::to_string(line) + ", column " + std::to_string(offset - start + 1);
}

}  // namespace

std::string_view to_string(Type type) {
  switch (type) {
    case Type::kNull:
      return "null";
    case Type::kBool:
      return "a boolean";
    case Type::kNumber:
      return "a number";
    case Type::kString:
      return "a string";
    case Type::kArray:
      return "an array";
    case Type::kObject:
      return "an object";
  }
  return "a value";
}

struct Document::Impl {
  std::string text;  // strings of the DOM point into it (in-situ parse)
  rapidjson::Document dom;
};

Document::Document(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Document::Document(Document&&) noexcept = default;
Document& Document::operator=(Document&&) noexcept = default;
Document::~Document() = default;
Value Document::root() const {
  return Value(static_cast<const rapidjson::Value*>(&impl_->dom));
}

Result<Document> Document::parse(std::string text, std::string_view what) {
  RETURN_IF_ERROR(check_limits(text, what));
  if (text.find('\0') != std::string::npos)
    return Error(Errc::kInvalidArgument, std::string(what) + ": contains a NUL byte");
  auto impl = std::make_unique<Impl>();
  impl->text = std::move(text);
  constexpr unsigned kFlags =
      rapidjson::kParseInsituFlag | rapidjson::kParseIterativeFlag | rapidjson::kParseValidateEncodingFlag;
  // The UTF-8 check reads a whole sequence at once: a sequence cut off at the end must find bytes that are ours.
  impl->text.append(4, '\0');
  impl->dom.ParseInsitu<kFlags>(impl->text.data());
  if (impl->dom.HasParseError()) {
    const std::string reason = to_lower(trim(rapidjson::GetParseError_En(impl->dom.GetParseError())));
    std::string_view clause(reason);
    if (clause.ends_with('.')) clause.remove_suffix(1);
    return Error(Errc::kInvalidArgument, std::string(what) + ": not valid JSON at " +
                                             position(impl->text, impl->dom.GetErrorOffset()) + ": " +
                                             std::string(clause));
  }
  return Document(std::move(impl));
}

Type Value::type() const {
  if (node_ == nullptr) return Type::kNull;
  switch (node(node_).GetType()) {
    case rapidjson::kNullType:
      return Type::kNull;
    case rapidjson::kFalseType:
    case rapidjson::kTrueType:
      return Type::kBool;
    case rapidjson::kObjectType:
      return Type::kObject;
    case rapidjson::kArrayType:
      return Type::kArray;
    case rapidjson::kStringType:
      return Type::kString;
    case rapidjson::kNumberType:
      return Type::kNumber;
  }
  return Type::kNull;
}

std::string_view Value::as_string() const {
  if (type() != Type::kString) return {};
  return {node(node_).GetString(), node(node_).GetStringLength()};
}

bool Value::as_bool() const {
  return node_ != nullptr && node(node_).IsTrue();
}

std::optional<std::int64_t> Value::as_int64() const {
  if (node_ == nullptr) return std::nullopt;
  if (node(node_).IsInt64()) return node(node_).GetInt64();
  // Numbers such as 1e3 or 5.0 are integers too (Go and jq write them).
  if (node(node_).IsDouble()) {
    const double d = node(node_).GetDouble();
    if (std::nearbyint(d) == d && std::fabs(d) < 9007199254740992.0) return static_cast<std::int64_t>(d);
  }
  return std::nullopt;
}

std::optional<std::uint64_t> Value::as_uint64() const {
  if (node_ == nullptr) return std::nullopt;
  if (node(node_).IsUint64()) return node(node_).GetUint64();
  const auto n = as_int64();
  if (n && *n >= 0) return static_cast<std::uint64_t>(*n);
  return std::nullopt;
}

std::optional<double> Value::as_double() const {
  if (node_ == nullptr || !node(node_).IsNumber()) return std::nullopt;
  return node(node_).GetDouble();
}

std::size_t Value::size() const {
  if (type() == Type::kArray) return node(node_).Size();
  if (type() == Type::kObject) return node(node_).MemberCount();
  return 0;
}

Value Value::element(std::size_t index) const {
  COOPER_ASSERT(type() == Type::kArray && index < size());
  return Value(&node(node_)[static_cast<rapidjson::SizeType>(index)]);
}

std::pair<std::string_view, Value> Value::member(std::size_t index) const {
  COOPER_ASSERT(type() == Type::kObject && index < size());
  const auto it = node(node_).MemberBegin() + static_cast<std::ptrdiff_t>(index);
  return {{it->name.GetString(), it->name.GetStringLength()}, Value(&it->value)};
}

std::optional<Value> Value::find(std::string_view name) const {
  if (type() != Type::kObject) return std::nullopt;
  for (std::size_t i = size(); i-- > 0;) {
    const auto [key, value] = member(i);
    if (key == name) return value;
  }
  return std::nullopt;
}

std::string Cursor::pointer() const {
  if (parent_ == nullptr) return {};
  std::string out = parent_->pointer() + "/";
  if (in_array_) return out + std::to_string(index_);
  for (const char c : name_) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

Error Cursor::error(std::string_view message, Errc code) const {
  std::string text(what_);
  if (const std::string where = pointer(); !where.empty()) {
    const std::string shown = quoted(where);  // escapes control characters of hostile keys
    text += ": " + shown.substr(1, shown.size() - 2);
  }
  return Error(code, text + ": " + std::string(message));
}

std::optional<Cursor> Cursor::get(std::string_view name) const {
  const auto child = value_.find(name);
  if (!child || child->is_null()) return std::nullopt;
  return Cursor(*child, what_, this, name);
}

Result<Cursor> Cursor::require(std::string_view name) const {
  RETURN_IF_ERROR(expect_object());
  if (const auto child = get(name)) return *child;
  return error("required member " + quoted(name) + " is missing");
}

Cursor Cursor::at(std::size_t index) const {
  Cursor out(value_.element(index), what_, this, {});
  out.index_ = index;
  out.in_array_ = true;
  return out;
}

Status Cursor::expect(Type type) const {
  if (value_.type() == type) return {};
  return error("must be " + std::string(to_string(type)) + ", not " + std::string(to_string(value_.type())));
}

Result<std::string> Cursor::string() const {
  RETURN_IF_ERROR(expect(Type::kString));
  const std::string_view text = value_.as_string();
  if (text.find('\0') != std::string_view::npos) return error("must not contain a NUL character");
  return std::string(text);
}

Result<bool> Cursor::boolean() const {
  RETURN_IF_ERROR(expect(Type::kBool));
  return value_.as_bool();
}

Result<std::int64_t> Cursor::signed_integer(std::int64_t min, std::int64_t max) const {
  RETURN_IF_ERROR(expect(Type::kNumber));
  const auto n = value_.as_int64();
  if (!n || *n < min || *n > max) {
    return error("must be an integer between " + std::to_string(min) + " and " + std::to_string(max));
  }
  return *n;
}

Result<std::uint64_t> Cursor::unsigned_integer(std::uint64_t max) const {
  RETURN_IF_ERROR(expect(Type::kNumber));
  const auto n = value_.as_uint64();
  if (!n || *n > max) return error("must be an integer between 0 and " + std::to_string(max));
  return *n;
}

Result<std::vector<std::string>> Cursor::strings() const {
  std::vector<std::string> out;
  RETURN_IF_ERROR(for_each([&](const Cursor& element) -> Status {
    ASSIGN_OR_RETURN(std::string text, element.string());
    out.push_back(std::move(text));
    return {};
  }));
  return out;
}

Status Cursor::read(std::string_view name, std::string& out) const {
  const auto child = get(name);
  if (!child) return {};
  ASSIGN_OR_RETURN(out, child->string());
  return {};
}

Status Cursor::read(std::string_view name, bool& out) const {
  const auto child = get(name);
  if (!child) return {};
  ASSIGN_OR_RETURN(out, child->boolean());
  return {};
}

Status Cursor::read(std::string_view name, std::vector<std::string>& out) const {
  const auto child = get(name);
  if (!child) return {};
  ASSIGN_OR_RETURN(out, child->strings());
  return {};
}

void Writer::newline() {
  if (style_ != Style::kPretty) return;
  out_ += '\n';
  out_.append(levels_.size() * 2, ' ');
}

void Writer::before_value() {
  if (after_key_) {
    after_key_ = false;
    return;
  }
  if (levels_.empty()) {
    COOPER_ASSERT(out_.empty());
    return;
  }
  COOPER_ASSERT(levels_.back().array);
  if (!levels_.back().empty) out_ += ',';
  levels_.back().empty = false;
  newline();
}

Writer& Writer::open(char bracket) {
  before_value();
  out_ += bracket;
  levels_.push_back({bracket == '[', true});
  return *this;
}

Writer& Writer::close(char bracket) {
  COOPER_ASSERT(!levels_.empty() && levels_.back().array == (bracket == ']') && !after_key_);
  const bool empty = levels_.back().empty;
  levels_.pop_back();
  if (!empty) newline();
  out_ += bracket;
  return *this;
}

Writer& Writer::key(std::string_view name) {
  COOPER_ASSERT(!levels_.empty() && !levels_.back().array && !after_key_);
  if (!levels_.back().empty) out_ += ',';
  levels_.back().empty = false;
  newline();
  escape(name);
  out_ += style_ == Style::kPretty ? ": " : ":";
  after_key_ = true;
  return *this;
}

void Writer::escape(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  const auto append_escape = [&](unsigned char code) {
    out_ += "\\u00";
    out_ += kHex[code >> 4];
    out_ += kHex[code & 15];
  };
  out_ += '"';
  while (!text.empty()) {
    const char c = text.front();
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80) {
      const std::size_t length = utf8_length(text);
      if (length == 0) {
        out_ += "\xef\xbf\xbd";
        text.remove_prefix(1);
      } else if (byte == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0) {
        // U+0080 to U+009F: a terminal obeys them.
        append_escape(static_cast<unsigned char>(text[1]));
        text.remove_prefix(2);
      } else {
        out_ += text.substr(0, length);
        text.remove_prefix(length);
      }
      continue;
    }
    switch (c) {
      case '"':
        out_ += "\\\"";
        break;
      case '\\':
        out_ += "\\\\";
        break;
      case '\n':
        out_ += "\\n";
        break;
      case '\r':
        out_ += "\\r";
        break;
      case '\t':
        out_ += "\\t";
        break;
      default:
        if (byte < 0x20 || byte == 0x7f) {
          append_escape(byte);
        } else {
          out_ += c;
        }
    }
    text.remove_prefix(1);
  }
  out_ += '"';
}

Writer& Writer::string(std::string_view text) {
  before_value();
  escape(text);
  return *this;
}

Writer& Writer::number(std::int64_t n) {
  before_value();
  out_ += std::to_string(n);
  return *this;
}

Writer& Writer::number(std::uint64_t n) {
  before_value();
  out_ += std::to_string(n);
  return *this;
}

Writer& Writer::number(double n) {
  if (!std::isfinite(n)) return null();
  before_value();
  char buffer[64];
  const auto [end, ec] = std::to_chars(buffer, buffer + sizeof buffer, n);
  out_.append(buffer, end);
  return *this;
}

Writer& Writer::boolean(bool b) {
  before_value();
  out_ += b ? "true" : "false";
  return *this;
}

Writer& Writer::null() {
  before_value();
  out_ += "null";
  return *this;
}

Writer& Writer::value(const Value& v) {
  switch (v.type()) {
    case Type::kNull:
      return null();
    case Type::kBool:
      return boolean(v.as_bool());
    case Type::kString:
      return string(v.as_string());
    case Type::kNumber:
      if (const auto i = v.as_int64()) return number(*i);
      if (const auto u = v.as_uint64()) return number(*u);
      return number(v.as_double().value_or(0));
    case Type::kArray:
      begin_array();
      for (std::size_t i = 0; i < v.size(); ++i) value(v.element(i));
      return end_array();
    case Type::kObject:
      begin_object();
      for (std::size_t i = 0; i < v.size(); ++i) {
        const auto [name, child] = v.member(i);
        key(name).value(child);
      }
      return end_object();
  }
  return *this;
}

Writer& Writer::field(std::string_view name, const std::vector<std::string>& texts) {
  key(name).begin_array();
  for (const std::string& text : texts) string(text);
  return end_array();
}

std::string Writer::take() {
  COOPER_ASSERT(levels_.empty() && !after_key_);
  return std::exchange(out_, {});
}

}  // namespace cooper::codec::json
