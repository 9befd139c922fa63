// Strong identifiers. A value of these types is always valid: the only way to make one is to parse it.
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "base/error.h"

namespace cooper {

// The id of an OCI runtime container: [A-Za-z0-9_+.-], 1 to 1024 bytes, not "." or ".." (runc's rule).
class ContainerId {
 public:
  static Result<ContainerId> parse(std::string_view text);
  const std::string& str() const { return text_; }
  auto operator<=>(const ContainerId&) const = default;

 private:
  explicit ContainerId(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

// RFC 4122 version 4 UUID, lower case, with dashes.
class PodUuid {
 public:
  static Result<PodUuid> parse(std::string_view text);
  static PodUuid random();
  const std::string& str() const { return text_; }
  std::string short_str() const { return text_.substr(0, 8); }
  auto operator<=>(const PodUuid&) const = default;

 private:
  explicit PodUuid(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

// appc AC Name: [a-z0-9]+(-[a-z0-9]+)*, at most 63 bytes here (it becomes a host name and a cgroup).
class AppName {
 public:
  static Result<AppName> parse(std::string_view text);
  // The nearest valid name to any text ("Registry/My_Image" -> "my-image"); "app" when nothing is left.
  static AppName sanitize(std::string_view text);
  const std::string& str() const { return text_; }
  auto operator<=>(const AppName&) const = default;

 private:
  explicit AppName(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

// "sha256:<64 hex>" or "sha512:<128 hex>".
class Digest {
 public:
  static Result<Digest> parse(std::string_view text);
  std::string_view algorithm() const { return std::string_view(text_).substr(0, text_.find(':')); }
  std::string_view hex() const { return std::string_view(text_).substr(text_.find(':') + 1); }
  const std::string& str() const { return text_; }
  auto operator<=>(const Digest&) const = default;

 private:
  explicit Digest(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

}  // namespace cooper
