// Words of the App Container specification: names, identifiers, image ids, how people write an image's name, and the
// words for machines.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "spec/appc/types.h"

namespace cooper::spec::appc {

// The name of a mount point or a port: [a-z0-9]+(-[a-z0-9]+)*.
bool is_ac_name(std::string_view text);
// The name of an image, a label, an annotation, an isolator: [a-z0-9]+([-._~/][a-z0-9]+)*.
bool is_ac_identifier(std::string_view text);
// Three numbers joined by dots, perhaps with a pre-release and a build (semver.org).
bool is_semantic_version(std::string_view text);

// A time of RFC 3339: YYYY-MM-DDTHH:MM:SS[.digits](Z|+HH:MM|-HH:MM), each number in its range.
bool is_time(std::string_view text);

// The digits of "sha512-<64 to 128 hex>". A name of rkt's store is the first half of the hash.
Result<std::string> parse_image_id(std::string_view text);

// What the user writes: name[:version][,label=value]...
struct ImageName {
  std::string name;
  std::vector<NameValue> labels;  // the version among them
};
Result<ImageName> parse_image_name(std::string_view text);
// "example.com/app:1.0,arch=amd64"
std::string print_image_name(std::string_view name, const std::vector<NameValue>& labels);

std::optional<std::string> find_value(const std::vector<NameValue>& list, std::string_view name);
// True when all of `wanted` are among `labels`.
bool has_labels(const std::vector<NameValue>& labels, const std::vector<NameValue>& wanted);

// A machine in the words of OCI images (GOARCH).
struct Machine {
  std::string architecture;
  std::string variant;  // may be empty
  bool operator==(const Machine&) const = default;
};
// Of an "arch" label for linux, as "aarch64"; nullopt for words that are none.
std::optional<Machine> machine_of(std::string_view arch);
// The "arch" label for linux; nullopt when there is no word for it.
std::optional<std::string> arch_of(const Machine& machine);
// Values of the labels "os" and "arch" (empty: not given). Errc::kInvalidArgument names the words there are.
Status check_platform_labels(std::string_view os, std::string_view arch);

}  // namespace cooper::spec::appc
