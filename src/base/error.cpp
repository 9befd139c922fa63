#include "base/error.h"

#include <cstdio>
#include <cstring>
#include "base/chars.h"

namespace cooper {

std::string_view to_string(Errc code) {
  switch (code) {
    case Errc::kInvalidArgument:
      return "invalid-argument";
    case Errc::kNotFound:
      return "not-found";
    case Errc::kAlreadyExists:
      return "already-exists";
    case Errc::kPermission:
      return "permission";
    case Errc::kUnsupported:
      return "unsupported";
    case Errc::kBusy:
      return "busy";
    case Errc::kWrongState:
      return "wrong-state";
    case Errc::kCorrupt:
      return "corrupt";
    case Errc::kNoSpace:
      return "no-space";
    case Errc::kLimit:
      return "limit";
    case Errc::kTimeout:
      return "timeout";
    case Errc::kCancelled:
      return "cancelled";
    case Errc::kSystem:
      return "system";
    case Errc::kInternal:
      return "internal";
  }
  return "unknown";
}

Errc errc_from_errno(int errno_value) {
  switch (errno_value) {
    case EINVAL:
    case ENAMETOOLONG:
    case ENOTDIR:
    case EISDIR:
    case ELOOP:
      return Errc::kInvalidArgument;
    case ENOENT:
    case ESRCH:
    case ENXIO:
    case ENODEV:
      return Errc::kNotFound;
    case EEXIST:
      return Errc::kAlreadyExists;
    case EPERM:
    case EACCES:
    case EROFS:
      return Errc::kPermission;
    case ENOSYS:
    case EOPNOTSUPP:
      return Errc::kUnsupported;
    case EBUSY:
    case EAGAIN:
    case ETXTBSY:
      return Errc::kBusy;
    case ENOSPC:
    case EDQUOT:
      return Errc::kNoSpace;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case E2BIG:
    case EFBIG:
      return Errc::kLimit;
    case ETIMEDOUT:
      return Errc::kTimeout;
    default:
      return Errc::kSystem;
  }
}

std::string errno_name(int errno_value) {
  if (const char* name = strerrorname_np(errno_value); name != nullptr) return name;
  return "errno " + std::to_string(errno_value);
}

std::string describe_errno(int errno_value) {
  const char* text = strerrordesc_np(errno_value);
  std::string out = text != nullptr ? text : "unknown error";
  // errno texts start with a capital; inside a sentence they must not (but keep acronyms such as "RFS").
  if (out.size() > 1 && !is_upper(out[1])) out[0] = to_lower(out[0]);
  return out + " (" + errno_name(errno_value) + ")";
}

Error::Error(Errc code, std::string message, int errno_value, const char* file, int line)
    : detail_(new Detail{code, errno_value, std::move(message), {}, {}, file, line}) {}

void Error::Delete::operator()(Detail* detail) const {
  std::default_delete<Detail>()(detail);
}

Error Error::from_errno(int errno_value, std::string_view what, const char* file, int line) {
  std::string message(what);
  message += ": ";
  message += describe_errno(errno_value);
  return Error(errc_from_errno(errno_value), std::move(message), errno_value, file, line);
}

Error Error::with(std::string_view context) && {
  std::string message(context);
  message += ": ";
  message += detail_->message;
  detail_->message = std::move(message);
  return std::move(*this);
}

Error Error::with_code(Errc code) && {
  detail_->code = code;
  return std::move(*this);
}

Error Error::with_hint(std::string hint) && {
  detail_->hint = std::move(hint);
  return std::move(*this);
}

Error Error::with_step(std::string_view step) && {
  if (detail_->step.empty()) detail_->step = step;
  return std::move(*this);
}

void assert_fail(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "cooper: internal error: assertion failed at %s:%d: %s\n", file, line, expression);
  std::abort();
}

}  // namespace cooper
