// Result<T> and Error: how every room reports failure. No exception crosses a room's interface.
//
// An Error is one pointer wide. It carries a stable code, the errno that caused it (or 0), and a message chain that
// reads as one sentence: outermost context first, joined with ": ". Messages are lower case, end without a period, and
// quote names. The OK path allocates nothing.
#pragma once

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace cooper {

// Stable failure classes. Tests and callers compare these, never prose.
enum class Errc {
  kInvalidArgument,  // the caller's input is wrong (flag, config field, reference)
  kNotFound,         // the named thing does not exist
  kAlreadyExists,    // the name or id is taken
  kPermission,       // the kernel or a policy refused
  kUnsupported,      // valid, but this build or kernel cannot do it
  kBusy,             // locked or in use by somebody else
  kWrongState,       // the container, pod or image is not in a state that allows the call
  kCorrupt,          // stored or received bytes do not match their digest or format
  kNoSpace,          // disk or quota full
  kLimit,            // a documented limit was exceeded
  kTimeout,          // a bounded wait ended
  kCancelled,        // the caller asked to stop
  kSystem,           // any other system call failure; see errno_value()
  kInternal,         // a defect of ours
};

std::string_view to_string(Errc code);

class [[nodiscard]] Error {
 public:
  Error(Errc code, std::string message, int errno_value = 0, const char* file = __builtin_FILE(),
        int line = __builtin_LINE());

  // `errno_value` is given explicitly: save errno on the line after the failing call.
  static Error from_errno(int errno_value, std::string_view what, const char* file = __builtin_FILE(),
                          int line = __builtin_LINE());

  Errc code() const { return detail_->code; }
  int errno_value() const { return detail_->errno_value; }
  // The whole sentence, context first.
  const std::string& message() const { return detail_->message; }
  // What to try, when known; the program edge prints it as a second clause.
  const std::string& hint() const { return detail_->hint; }
  // The step of a plan that failed ("mount", "pivot-root"), for programs; empty when there was none.
  const std::string& step() const { return detail_->step; }
  const char* file() const { return detail_->file; }
  int line() const { return detail_->line; }

  // Adds context in front: "context: message".
  Error with(std::string_view context) &&;
  Error with_code(Errc code) &&;
  Error with_hint(std::string hint) &&;
  // Keeps a step that is there already: the innermost one is the one that failed.
  Error with_step(std::string_view step) &&;

 private:
  struct Detail {
    Errc code;
    int errno_value;
    std::string message;
    std::string hint;
    std::string step;
    const char* file;
    int line;
  };
  struct Delete {
    void operator()(Detail* detail) const;  // not inline: every function that may fail would hold a copy
  };
  std::unique_ptr<Detail, Delete> detail_;
};

// Maps an errno to the failure class it usually means.
Errc errc_from_errno(int errno_value);
// strerror without locale: "no such file or directory (ENOENT)".
std::string describe_errno(int errno_value);
// "ENOENT", or "errno 999".
std::string errno_name(int errno_value);

[[noreturn]] void assert_fail(const char* expression, const char* file, int line);

// Movable, not copyable. Not a std::variant: its tables of functions are a third of what a source takes to compile.
template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  Result(T value) : ok_(true), value_(std::move(value)) {}
  Result(Error error) : ok_(false), error_(std::move(error)) {}
  template <typename U>
    requires(std::is_convertible_v<U, T> && !std::is_same_v<std::remove_cvref_t<U>, Result> &&
             !std::is_same_v<std::remove_cvref_t<U>, T> && !std::is_same_v<std::remove_cvref_t<U>, Error>)
  Result(U&& value) : ok_(true), value_(std::forward<U>(value)) {}
  Result(Result&& other) noexcept : ok_(other.ok_) { take(other); }
  Result& operator=(Result&& other) noexcept {
    if (this != &other) {
      destroy();
      ok_ = other.ok_;
      take(other);
    }
    return *this;
  }
  ~Result() { destroy(); }

  bool ok() const { return ok_; }
  explicit operator bool() const { return ok(); }

  T& value() & {
    check();
    return value_;
  }
  const T& value() const& {
    check();
    return value_;
  }
  T&& value() && {
    check();
    return std::move(value_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T value_or(T fallback) && { return ok() ? std::move(*this).value() : std::move(fallback); }

  const Error& error() const& {
    if (ok()) assert_fail("error() on an ok Result", __FILE__, __LINE__);
    return error_;
  }
  Error&& error() && {
    if (ok()) assert_fail("error() on an ok Result", __FILE__, __LINE__);
    return std::move(error_);
  }

 private:
  void check() const {
    if (!ok_) assert_fail(error_.message().c_str(), __FILE__, __LINE__);
  }
  void destroy() {
    if (ok_)
      value_.~T();
    else
      error_.~Error();
  }
  // Into storage without a value; ok_ is the other's already.
  void take(Result& other) {
    if (ok_)
      std::construct_at(&value_, std::move(other.value_));
    else
      std::construct_at(&error_, std::move(other.error_));
  }

  bool ok_;
  union {
    T value_;
    Error error_;
  };
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}
  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const& { return *error_; }
  Error&& error() && { return std::move(*error_); }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;
inline Status ok_status() {
  return {};
}

}  // namespace cooper

#define COOPER_CONCAT_INNER(a, b) a##b
#define COOPER_CONCAT(a, b) COOPER_CONCAT_INNER(a, b)

#define RETURN_IF_ERROR(expr)                                            \
  do {                                                                   \
    if (auto cooper_status_ = (expr); !cooper_status_.ok()) [[unlikely]] \
      return std::move(cooper_status_).error();                          \
  } while (false)

#define COOPER_ASSIGN_OR_RETURN_IMPL(tmp, decl, expr) \
  auto tmp = (expr);                                  \
  if (!tmp.ok()) [[unlikely]]                         \
    return std::move(tmp).error();                    \
  decl = std::move(tmp).value()

// ASSIGN_OR_RETURN(auto fd, open(...)); ASSIGN_OR_RETURN(member_, ...);
#define ASSIGN_OR_RETURN(decl, expr) COOPER_ASSIGN_OR_RETURN_IMPL(COOPER_CONCAT(cooper_result_, __LINE__), decl, expr)

// Programming errors: on in release too.
#define COOPER_ASSERT(expr)                             \
  do {                                                  \
    if (!(expr)) [[unlikely]]                           \
      ::cooper::assert_fail(#expr, __FILE__, __LINE__); \
  } while (false)
