#include "spec/oci_image/platform.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "base/chars.h"
#include "base/strings.h"
#include "spec/oci_image/media_types.h"
#include "spec/oci_image/print.h"

namespace cooper::spec::oci_image {
namespace {

struct Alias {
  std::string_view name;
  std::string_view architecture;
  std::string_view variant;
};
constexpr std::array<Alias, 12> kAliases = {{
    {"x86_64", "amd64", ""},
    {"x86-64", "amd64", ""},
    {"i386", "386", ""},
    {"i686", "386", ""},
    {"aarch64", "arm64", ""},
    {"armhf", "arm", "v7"},
    {"armel", "arm", "v6"},
    {"armv7l", "arm", "v7"},
    {"armv6l", "arm", "v6"},
    {"ppc64el", "ppc64le", ""},
    {"powerpc64le", "ppc64le", ""},
    {"loongarch64", "loong64", ""},
}};

// Words of Go for machines (GOARCH).
constexpr std::array<std::string_view, 22> kArchitectures = {
    "386",     "amd64", "arm",  "arm64", "loong64", "mips", "mipsle", "mips64",  "mips64le", "ppc64",   "ppc64le",
    "riscv64", "s390x", "wasm", "ppc",   "riscv",   "s390", "sparc",  "sparc64", "armbe",    "arm64be", "mips64p32"};

bool is_architecture(const std::string& word) {
  return std::ranges::find(kArchitectures, word) != kArchitectures.end() ||
         std::ranges::find(kAliases, word, &Alias::name) != kAliases.end();
}

// Worse than any variant.
constexpr int kGuess = 1000;

// "v7" -> 7; 0 when there is none or it is no number.
int variant_number(std::string_view variant) {
  if (!variant.starts_with('v')) return 0;
  return parse_number<int>(variant.substr(1)).value_or(0);
}

}  // namespace

Platform host_platform() {
#if defined(__x86_64__)
  return {.architecture = "amd64", .os = "linux", .variant = ""};
#elif defined(__aarch64__)
  return {.architecture = "arm64", .os = "linux", .variant = ""};
#elif defined(__arm__) && defined(__ARM_ARCH) && __ARM_ARCH >= 7
  return {.architecture = "arm", .os = "linux", .variant = "v7"};
#elif defined(__arm__)
  return {.architecture = "arm", .os = "linux", .variant = "v6"};
#elif defined(__i386__)
  return {.architecture = "386", .os = "linux", .variant = ""};
#elif defined(__riscv) && __riscv_xlen == 64
  return {.architecture = "riscv64", .os = "linux", .variant = ""};
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
  return {.architecture = "ppc64le", .os = "linux", .variant = ""};
#elif defined(__s390x__)
  return {.architecture = "s390x", .os = "linux", .variant = ""};
#elif defined(__loongarch64)
  return {.architecture = "loong64", .os = "linux", .variant = ""};
#else
#error "name this architecture as Go does"
#endif
}

Platform normalize(Platform platform) {
  platform.os = to_lower(platform.os);
  platform.architecture = to_lower(platform.architecture);
  platform.variant = to_lower(platform.variant);
  for (const Alias& alias : kAliases) {
    if (platform.architecture != alias.name) continue;
    platform.architecture = alias.architecture;
    if (platform.variant.empty()) platform.variant = alias.variant;
    break;
  }
  if (!platform.variant.empty() && is_digit(platform.variant[0])) platform.variant.insert(0, "v");
  if (platform.architecture == "arm64" && platform.variant == "v8") platform.variant.clear();
  if (platform.architecture == "amd64" && platform.variant == "v1") platform.variant.clear();
  if (platform.architecture == "arm" && platform.variant.empty()) platform.variant = "v7";
  return platform;
}

Result<Platform> parse_platform(std::string_view text) {
  const auto parts = split(text, '/');
  const bool empty_part = std::ranges::any_of(parts, [](std::string_view part) { return part.empty(); });
  if (parts.size() > 3 || empty_part) {
    return Error(Errc::kInvalidArgument, "platform " + quoted(text) + " is not of the form os/architecture[/variant]");
  }
  const Platform host = host_platform();
  Platform out;
  if (parts.size() == 1) {
    if (parts[0] == "linux") return machine_platform();
    if (!is_architecture(to_lower(parts[0])))
      return Error(Errc::kInvalidArgument, "platform " + quoted(text) + " is no architecture that is known")
          .with_hint("amd64, arm64, arm, 386, riscv64, ppc64le, s390x are some; of another one write OS/ARCH");
    out = {.architecture = std::string(parts[0]), .os = host.os, .variant = ""};
  } else {
    out = {.architecture = std::string(parts[1]),
           .os = std::string(parts[0]),
           .variant = parts.size() == 3 ? std::string(parts[2]) : ""};
  }
  return normalize(std::move(out));
}

namespace {

std::optional<int> match_named(const Platform& wanted, const Platform& offered) {
  if (wanted.os != offered.os || wanted.architecture != offered.architecture) return std::nullopt;
  if (wanted.variant == offered.variant) return 0;
  const int have = wanted.variant.empty() ? 1 : variant_number(wanted.variant);
  const int need = offered.variant.empty() ? 1 : variant_number(offered.variant);
  if (wanted.architecture == "amd64" || wanted.architecture == "arm") {
    // A newer machine runs what was built for an older one.
    if (have > 0 && need > 0 && need < have) return have - need;
    return std::nullopt;
  }
  // Elsewhere variants are not ordered; an image that names none fits any, one that names one is better than nothing
  // when nobody asked for a certain one.
  if (offered.variant.empty()) return 1;
  if (wanted.variant.empty()) return 10 + need;
  return std::nullopt;
}

}  // namespace

std::optional<int> match_platform(const Platform& wanted, const Platform& offered) {
  Platform assumed = offered;
  int guesses = 0;
  if (assumed.os.empty()) {
    assumed.os = wanted.os;
    ++guesses;
  }
  if (assumed.architecture.empty()) {
    assumed.architecture = wanted.architecture;
    assumed.variant = wanted.variant;
    ++guesses;
  }
  const auto score = match_named(normalize(wanted), normalize(std::move(assumed)));
  return score ? std::optional(*score + guesses * kGuess) : score;
}

std::optional<int> match_configured(const Platform& wanted, const Platform& configured) {
  const auto score = match_platform(wanted, configured);
  if (score || !configured.variant.empty()) return score;
  Platform assumed = configured;
  assumed.variant = wanted.variant;
  const auto guessed = match_platform(wanted, assumed);
  return guessed ? std::optional(*guessed + kGuess) : guessed;
}

bool is_attestation(const Descriptor& descriptor) {
  const auto type = descriptor.annotations.find(std::string(kAnnotationDockerReferenceType));
  if (type != descriptor.annotations.end() && type->second == "attestation-manifest") return true;
  return descriptor.platform && descriptor.platform->os == "unknown" && descriptor.platform->architecture == "unknown";
}

Result<std::size_t> select_platform(const std::vector<Descriptor>& manifests, const Platform& wanted,
                                    std::string_view what) {
  std::optional<std::pair<int, std::size_t>> best;
  std::vector<std::size_t> unmarked;
  std::set<std::string> available;
  for (std::size_t i = 0; i < manifests.size(); ++i) {
    const Descriptor& entry = manifests[i];
    if (is_attestation(entry)) continue;
    if (!entry.platform || entry.platform->architecture.empty()) {
      unmarked.push_back(i);
      continue;
    }
    available.insert(to_string(*entry.platform));
    const auto score = match_platform(wanted, *entry.platform);
    if (score && (!best || *score < best->first)) best.emplace(*score, i);
  }
  if (best) return best->second;
  if (available.empty() && unmarked.size() == 1) return unmarked.front();
  if (available.empty() && unmarked.empty()) return Error(Errc::kNotFound, std::string(what) + " holds no image");
  const std::vector<std::string> names(available.begin(), available.end());
  Error error(Errc::kNotFound,
              std::string(what) + " has no image for platform " + to_string(wanted) +
                  (names.empty() ? std::string(" and names no platform at all") : ", only for " + join(names, ", ")));
  return std::move(error).with_hint(names.empty()
                                        ? "choose an image by its digest"
                                        : "--platform " + names.front() + ", for example, asks for one of these");
}

}  // namespace cooper::spec::oci_image
