// Image names as docker and podman write them: [registry/]repository[:tag][@digest].
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/ids.h"

namespace cooper::spec::oci_image {

inline constexpr std::string_view kDefaultTag = "latest";
inline constexpr std::string_view kDockerHub = "docker.io";
inline constexpr std::string_view kLocalRegistry = "localhost";
// What skopeo and rkt write before a name of a registry.
inline constexpr std::string_view kDockerScheme = "docker://";
// Bytes of a full name with its tag: a name is also a file name in the store.
inline constexpr std::size_t kMaxNameBytes = 230;

struct Reference {
  std::string registry;    // "docker.io", "localhost:5000"; empty for a short name
  std::string repository;  // "library/busybox"
  std::string tag;         // empty when not given
  std::optional<Digest> digest;

  // "registry/repository[:tag][@digest]"
  std::string str() const;
  // "registry/repository:tag", tag "latest" when there is none; the digest is not part of it.
  std::string name() const;
  bool operator==(const Reference&) const = default;
};

// The first component is the registry when it has a dot, a colon or an upper-case letter or is "localhost".
// "docker.io/busybox" is "docker.io/library/busybox", "index.docker.io" is "docker.io". kDockerScheme before it says
// nothing new. What reads as an image's id is no name: none can stand in the way of an id.
// Errc::kInvalidArgument says which part is wrong.
Result<Reference> parse_reference(std::string_view text);

// Full references a name may stand for, most likely first: a short name is looked up under localhost/ and then
// docker.io/ (docker.io/library/ when it has one component); a full name stands for itself.
std::vector<Reference> candidates(const Reference& reference);
// The full name for something that is stored now: short names get `registry` (docker.io adds "library/").
Reference qualify(Reference reference, std::string_view registry);

}  // namespace cooper::spec::oci_image
