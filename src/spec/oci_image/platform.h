// Choosing one manifest of a multi-platform index.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "spec/oci_image/types.h"

namespace cooper::spec::oci_image {

// The platform this program was built for. ARM variants: the oldest the build supports.
Platform host_platform();
// The same with what this very processor adds: of amd64 the highest variant (v2 to v4) that it has. Asks the processor.
Platform machine_platform();
// "linux/arm64/v8", "arm64", "linux"; names of other worlds (x86_64, aarch64, armhf, i386) become GOARCH words, missing
// parts those of the host.
Result<Platform> parse_platform(std::string_view text);
// GOARCH words, and variants that only repeat the default (arm64 v8, amd64 v1) dropped; arm without a variant is v7.
Platform normalize(Platform platform);

// How well an image for `offered` runs where `wanted` is asked for: 0 is exact, larger is worse; nullopt: not at all.
// An operating system or architecture that an image does not name may be any.
std::optional<int> match_platform(const Platform& wanted, const Platform& offered);
// The same of what the configuration of an image says, which is often no variant where the index that lists it names
// one: that may be any.
std::optional<int> match_configured(const Platform& wanted, const Platform& configured);

// True for descriptors that are never an image to run: attestations, "unknown/unknown".
bool is_attestation(const Descriptor& descriptor);

// Index of the best entry for `wanted`. Entries without a platform count as a last resort when there is exactly one.
// Errc::kNotFound naming the platforms there are.
Result<std::size_t> select_platform(const std::vector<Descriptor>& manifests, const Platform& wanted,
                                    std::string_view what);

}  // namespace cooper::spec::oci_image
