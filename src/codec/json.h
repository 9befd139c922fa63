// JSON: a read-only document, a typed cursor whose errors carry the JSON pointer (RFC 6901) of the offending value, and
// a writer. Input is hostile: size is capped by the caller, nesting at kMaxDepth, values at kMaxValues, text must be
// valid UTF-8, one document only. Hides RapidJSON; nothing of it shows here.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace cooper::codec::json {

inline constexpr int kMaxDepth = 128;
// Names of members count too. A value takes 16 bytes where its text may have two, and twice that while it is read.
inline constexpr std::size_t kMaxValues = 250'000;

enum class Type { kNull, kBool, kNumber, kString, kArray, kObject };
std::string_view to_string(Type type);

// A view into a Document; valid as long as the Document lives (moving the Document keeps views valid).
class Value {
 public:
  Value() = default;
  Type type() const;
  bool is_null() const { return type() == Type::kNull; }
  std::string_view as_string() const;  // empty unless a string
  bool as_bool() const;                // false unless true
  std::optional<std::int64_t> as_int64() const;
  std::optional<std::uint64_t> as_uint64() const;
  std::optional<double> as_double() const;
  // Elements of an array or members of an object; 0 otherwise.
  std::size_t size() const;
  Value element(std::size_t index) const;
  std::pair<std::string_view, Value> member(std::size_t index) const;
  // The last member with that name (as Go decodes duplicates).
  std::optional<Value> find(std::string_view name) const;

 private:
  friend class Document;
  explicit Value(const void* node) : node_(node) {}
  const void* node_ = nullptr;
};

class Document {
 public:
  // `what` names the text in errors ("config.json"). Errc::kInvalidArgument with line and column on a syntax error.
  static Result<Document> parse(std::string text, std::string_view what);
  Document(Document&&) noexcept;
  Document& operator=(Document&&) noexcept;
  ~Document();
  Value root() const;

 private:
  struct Impl;
  explicit Document(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// A value together with where it is. A child cursor refers to its parent, which must outlive it (walk top-down on the
// stack).
class Cursor {
 public:
  // `what` must outlive the cursor; it opens every message.
  Cursor(Value value, std::string_view what) : value_(value), what_(what) {}

  Value value() const { return value_; }
  std::string pointer() const;  // "/process/args/0"; "" at the root
  // "config.json: /process/args/0: <message>"
  Error error(std::string_view message, Errc code = Errc::kInvalidArgument) const;

  // Member; nullopt when absent or null. *this must be an object (check with expect_object()).
  std::optional<Cursor> get(std::string_view name) const;
  Result<Cursor> require(std::string_view name) const;
  Cursor at(std::size_t index) const;  // element of an array

  Status expect_object() const { return expect(Type::kObject); }
  Status expect_array() const { return expect(Type::kArray); }
  // Strings with an embedded NUL are refused: no kernel interface can take them.
  Result<std::string> string() const;
  Result<bool> boolean() const;
  template <typename T>
  Result<T> integer() const {
    static_assert(std::is_integral_v<T>);
    if constexpr (std::is_signed_v<T>) {
      ASSIGN_OR_RETURN(const std::int64_t n,
                       signed_integer(std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
      return static_cast<T>(n);
    } else {
      ASSIGN_OR_RETURN(const std::uint64_t n, unsigned_integer(std::numeric_limits<T>::max()));
      return static_cast<T>(n);
    }
  }
  Result<std::vector<std::string>> strings() const;
  // f(const Cursor&) -> Status
  template <typename F>
  Status for_each(F f) const {
    RETURN_IF_ERROR(expect_array());
    for (std::size_t i = 0, n = value_.size(); i < n; ++i) RETURN_IF_ERROR(f(at(i)));
    return {};
  }
  // f(std::string_view name, const Cursor&) -> Status
  template <typename F>
  Status for_each_member(F f) const {
    RETURN_IF_ERROR(expect_object());
    for (std::size_t i = 0, n = value_.size(); i < n; ++i) {
      const auto [name, value] = value_.member(i);
      RETURN_IF_ERROR(f(name, Cursor(value, what_, this, name)));
    }
    return {};
  }
  // Reads an optional member into `out`, leaving it untouched when absent or null.
  Status read(std::string_view name, std::string& out) const;
  Status read(std::string_view name, bool& out) const;
  Status read(std::string_view name, std::vector<std::string>& out) const;
  template <typename T>
    requires(std::is_integral_v<T> && !std::is_same_v<T, bool>)
  Status read(std::string_view name, T& out) const {
    const auto child = get(name);
    if (!child) return {};
    ASSIGN_OR_RETURN(out, child->template integer<T>());
    return {};
  }
  template <typename T>
  Status read(std::string_view name, std::optional<T>& out) const {
    if (!get(name)) return {};
    T value{};
    RETURN_IF_ERROR(read(name, value));
    out = std::move(value);
    return {};
  }

 private:
  Cursor(Value value, std::string_view what, const Cursor* parent, std::string_view name)
      : value_(value), what_(what), parent_(parent), name_(name) {}
  Status expect(Type type) const;
  Result<std::int64_t> signed_integer(std::int64_t min, std::int64_t max) const;
  Result<std::uint64_t> unsigned_integer(std::uint64_t max) const;

  Value value_;
  std::string_view what_;
  const Cursor* parent_ = nullptr;
  std::string_view name_;
  std::size_t index_ = 0;
  bool in_array_ = false;
};

// Writes one document. Calls must form valid JSON (asserted); strings are escaped, invalid UTF-8 becomes U+FFFD.
class Writer {
 public:
  enum class Style { kCompact, kPretty };  // pretty: two spaces, as runc prints
  explicit Writer(Style style = Style::kCompact) : style_(style) {}

  Writer& begin_object() { return open('{'); }
  Writer& end_object() { return close('}'); }
  Writer& begin_array() { return open('['); }
  Writer& end_array() { return close(']'); }
  Writer& key(std::string_view name);
  Writer& string(std::string_view text);
  Writer& number(std::int64_t n);
  Writer& number(std::uint64_t n);
  Writer& number(int n) { return number(std::int64_t{n}); }
  Writer& number(unsigned n) { return number(std::uint64_t{n}); }
  Writer& number(double n);  // not finite: null
  Writer& boolean(bool b);
  Writer& null();
  // Copies a parsed value.
  Writer& value(const Value& v);
  // key + value in one call.
  Writer& field(std::string_view name, std::string_view text) { return key(name).string(text); }
  Writer& field(std::string_view name, const char* text) { return key(name).string(text); }
  Writer& field(std::string_view name, const std::string& text) { return key(name).string(text); }
  template <typename T>
    requires(std::is_arithmetic_v<T>)
  Writer& field(std::string_view name, T n) {
    key(name);
    if constexpr (std::is_same_v<T, bool>) {
      return boolean(n);
    } else if constexpr (std::is_floating_point_v<T>) {
      return number(double{n});
    } else if constexpr (std::is_signed_v<T>) {
      return number(static_cast<std::int64_t>(n));
    } else {
      return number(static_cast<std::uint64_t>(n));
    }
  }
  Writer& field(std::string_view name, const std::vector<std::string>& texts);
  template <typename T>
  Writer& optional_field(std::string_view name, const std::optional<T>& n) {
    if (n) field(name, *n);
    return *this;
  }

  // The document; the writer is empty afterwards.
  std::string take();

 private:
  Writer& open(char bracket);
  Writer& close(char bracket);
  void before_value();
  void newline();
  void escape(std::string_view text);

  Style style_;
  std::string out_;
  struct Level {
    bool array = false;
    bool empty = true;
  };
  std::vector<Level> levels_;
  bool after_key_ = false;
};

}  // namespace cooper::codec::json
