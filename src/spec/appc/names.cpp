#include "spec/appc/names.h"

#include <algorithm>
#include <array>

#include "base/chars.h"
#include "base/strings.h"

namespace cooper::spec::appc {
namespace {

constexpr std::size_t kMinIdDigits = 64;
constexpr std::size_t kMaxIdDigits = 128;
constexpr std::string_view kIdPrefix = "sha512-";

// Words of letters and digits with one separator between two of them.
bool is_joined(std::string_view text, std::string_view separators) {
  bool after_word = false;
  for (const char c : text) {
    if (!is_lower_alnum(c) && (!after_word || separators.find(c) == std::string_view::npos)) return false;
    after_word = is_lower_alnum(c);
  }
  return after_word;
}

// Identifiers joined by dots: letters, digits, dashes; none is empty.
bool is_version_suffix(std::string_view text) {
  return std::ranges::all_of(split(text, '.'), [](std::string_view part) {
    return !part.empty() && std::ranges::all_of(part, [](char c) { return is_alnum(c) || c == '-'; });
  });
}

struct ArchWord {
  std::string_view arch;
  std::string_view architecture;
  std::string_view variant;
};
constexpr std::array<ArchWord, 11> kLinuxArchs = {{
    {"amd64", "amd64", ""},
    {"i386", "386", ""},
    {"aarch64", "arm64", ""},
    {"aarch64_be", "arm64be", ""},
    {"armv6l", "arm", "v6"},
    {"armv7l", "arm", "v7"},
    {"armv7b", "armbe", "v7"},
    {"ppc64", "ppc64", ""},
    {"ppc64le", "ppc64le", ""},
    {"s390x", "s390x", ""},
    {"riscv64", "riscv64", ""},
}};
struct OsWord {
  std::string_view os;
  std::string_view archs;
};
constexpr std::array<OsWord, 3> kSystems = {
    {{"linux", "amd64 i386 aarch64 aarch64_be armv6l armv7l armv7b ppc64 ppc64le s390x riscv64"},
     {"freebsd", "amd64 i386 arm"},
     {"darwin", "x86_64 i386"}}};

}  // namespace

bool is_ac_name(std::string_view text) {
  return is_joined(text, "-");
}

bool is_ac_identifier(std::string_view text) {
  return is_joined(text, "-._~/");
}

bool is_semantic_version(std::string_view text) {
  if (const auto build = split_once(text, '+')) {
    if (!is_version_suffix(build->second)) return false;
    text = build->first;
  }
  if (const auto pre_release = split_once(text, '-')) {
    if (!is_version_suffix(pre_release->second)) return false;
    text = pre_release->first;
  }
  const auto numbers = split(text, '.');
  return numbers.size() == 3 && std::ranges::all_of(numbers, [](std::string_view number) {
           return !number.empty() && number.size() <= 9 && (number == "0" || number[0] != '0') &&
                  std::ranges::all_of(number, is_digit);
         });
}

bool is_time(std::string_view text) {
  constexpr std::string_view kShape = "dddd-dd-ddTdd:dd:dd";
  if (text.size() <= kShape.size()) return false;
  for (std::size_t i = 0; i < kShape.size(); ++i) {
    if (kShape[i] == 'd' ? !is_digit(text[i]) : text[i] != kShape[i]) return false;
  }
  const auto within = [&](std::string_view from, std::size_t at, int low, int high) {
    const auto number = parse_number<int>(from.substr(at, 2));
    return number && *number >= low && *number <= high;
  };
  if (!within(text, 5, 1, 12) || !within(text, 8, 1, 31) || !within(text, 11, 0, 23) || !within(text, 14, 0, 59) ||
      !within(text, 17, 0, 60))
    return false;
  std::string_view zone = text.substr(kShape.size());
  if (zone.front() == '.') {
    const std::size_t end = zone.find_first_not_of("0123456789", 1);
    if (end == 1 || end == std::string_view::npos) return false;
    zone.remove_prefix(end);
  }
  if (zone == "Z") return true;
  return zone.size() == 6 && (zone[0] == '+' || zone[0] == '-') && zone[3] == ':' && within(zone, 1, 0, 23) &&
         within(zone, 4, 0, 59);
}

Result<std::string> parse_image_id(std::string_view text) {
  if (!text.starts_with(kIdPrefix))
    return Error(Errc::kInvalidArgument, quoted(text) + " is not an image id: it does not begin with sha512-");
  const std::string_view hex = text.substr(kIdPrefix.size());
  if (hex.size() < kMinIdDigits || hex.size() > kMaxIdDigits || !all_lower_hex(hex))
    return Error(Errc::kInvalidArgument,
                 quoted(text) + " is not an image id: sha512- and 64 to 128 hexadecimal digits");
  return std::string(hex);
}

Result<ImageName> parse_image_name(std::string_view text) {
  const auto parts = split(text, ',');
  ImageName out;
  const auto version = split_once(parts.front(), ':');
  out.name = version ? version->first : parts.front();
  if (!is_ac_identifier(out.name))
    return Error(Errc::kInvalidArgument, "image name " + quoted(out.name) +
                                             " must be lower-case letters and digits joined by one of - . _ ~ /");
  if (version) {
    if (version->second.empty()) return Error(Errc::kInvalidArgument, "version of " + quoted(text) + " is empty");
    out.labels.push_back({"version", std::string(version->second)});
  }
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const auto label = split_once(parts[i], '=');
    if (!label || !is_ac_identifier(label->first) || label->first == "name")
      return Error(Errc::kInvalidArgument, quoted(parts[i]) + " of " + quoted(text) + " is not label=value");
    if (find_value(out.labels, label->first))
      return Error(Errc::kInvalidArgument, "label " + quoted(label->first) + " of " + quoted(text) + " is given twice");
    if (label->first == "version" && label->second.empty())
      return Error(Errc::kInvalidArgument, "version of " + quoted(text) + " is empty");
    out.labels.push_back({std::string(label->first), std::string(label->second)});
  }
  return out;
}

std::string print_image_name(std::string_view name, const std::vector<NameValue>& labels) {
  std::string out(name);
  if (const auto version = find_value(labels, "version")) out += ":" + *version;
  for (const NameValue& label : labels) {
    if (label.name != "version") out += "," + label.name + "=" + label.value;
  }
  return out;
}

std::optional<std::string> find_value(const std::vector<NameValue>& list, std::string_view name) {
  const auto found = std::ranges::find(list, name, &NameValue::name);
  return found == list.end() ? std::nullopt : std::optional(found->value);
}

bool has_labels(const std::vector<NameValue>& labels, const std::vector<NameValue>& wanted) {
  return std::ranges::all_of(wanted,
                             [&](const NameValue& one) { return std::ranges::find(labels, one) != labels.end(); });
}

std::optional<Machine> machine_of(std::string_view arch) {
  const auto found = std::ranges::find(kLinuxArchs, arch, &ArchWord::arch);
  if (found == kLinuxArchs.end()) return std::nullopt;
  return Machine{std::string(found->architecture), std::string(found->variant)};
}

std::optional<std::string> arch_of(const Machine& machine) {
  const auto same = [&](const ArchWord& word) {
    return word.architecture == machine.architecture && (word.variant.empty() || word.variant == machine.variant);
  };
  const auto found = std::ranges::find_if(kLinuxArchs, same);
  if (found == kLinuxArchs.end()) return std::nullopt;
  return std::string(found->arch);
}

Status check_platform_labels(std::string_view os, std::string_view arch) {
  if (os.empty()) return {};
  const auto system = std::ranges::find(kSystems, os, &OsWord::os);
  if (system == kSystems.end())
    return Error(Errc::kInvalidArgument, "bad os " + quoted(os) + " (linux, freebsd or darwin)");
  const auto archs = split(system->archs, ' ');
  if (arch.empty() || std::ranges::find(archs, arch) != archs.end()) return {};
  return Error(Errc::kInvalidArgument,
               "bad arch " + quoted(arch) + " for " + std::string(os) + " (one of " + std::string(system->archs) + ")");
}

}  // namespace cooper::spec::appc
