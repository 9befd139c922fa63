#include "spec/oci_runtime/versions.h"

#include <algorithm>
#include <array>
#include <compare>

#include "base/strings.h"
#include "codec/json.h"
#include "spec/oci_runtime/defaults.h"

namespace cooper::spec::oci_runtime {
namespace {

using codec::json::Document;
using codec::json::Type;
using codec::json::Value;

struct Version {
  int major = 0, minor = 0, patch = 0;
  auto operator<=>(const Version&) const = default;
};

Version version_of(std::string_view text) {
  const auto numbers = split(text.substr(0, text.find_first_of("-+")), '.');
  const auto number = [&](std::size_t i) { return i < numbers.size() ? parse_number<int>(numbers[i]).value_or(0) : 0; };
  return {number(0), number(1), number(2)};
}

struct RuleRow {
  Rule rule;
  std::string_view since;
};
constexpr auto kRules = std::to_array<RuleRow>({
    {Rule::kPidsLimitZeroIsALimit, "1.3.0"},
    {Rule::kPoststartMustSucceed, "1.3.0"},
});

// `*` is every element of a list. With `values` the member is old and these of its values are not; words of them are
// separated by blanks.
struct MemberRow {
  std::string_view since;
  std::string_view pointer;
  std::string_view values = {};
};
constexpr auto kMembers = std::to_array<MemberRow>({
    {"1.0.2", "/hooks/createRuntime"},
    {"1.0.2", "/hooks/createContainer"},
    {"1.0.2", "/hooks/startContainer"},
    {"1.0.2", "/process/user/umask"},
    {"1.0.2", "/linux/personality"},
    {"1.0.2", "/linux/intelRdt/closID"},
    {"1.0.2", "/linux/intelRdt/memBwSchema"},
    {"1.0.2", "/linux/resources/memory/useHierarchy"},
    {"1.0.2", "/linux/resources/rdma"},
    {"1.0.2", "/linux/seccomp/flags"},
    {"1.0.2", "/linux/seccomp/defaultAction", "SCMP_ACT_LOG"},
    {"1.0.2", "/linux/seccomp/syscalls/*/action", "SCMP_ACT_LOG"},
    {"1.1.0", "/domainname"},
    {"1.1.0", "/process/scheduler"},
    {"1.1.0", "/process/ioPriority"},
    {"1.1.0", "/mounts/*/uidMappings"},
    {"1.1.0", "/mounts/*/gidMappings"},
    {"1.1.0", "/mounts/*/options/*",
     "rro rrw rnosuid rsuid rnodev rdev rnoexec rexec rnodiratime rdiratime rrelatime rnorelatime rnoatime ratime "
     "rstrictatime rnostrictatime rnosymfollow rsymfollow"},
    {"1.1.0", "/linux/namespaces/*/type", "time"},
    {"1.1.0", "/linux/timeOffsets"},
    {"1.1.0", "/linux/intelRdt/enableCMT"},
    {"1.1.0", "/linux/intelRdt/enableMBM"},
    {"1.1.0", "/linux/resources/unified"},
    {"1.1.0", "/linux/resources/cpu/idle"},
    {"1.1.0", "/linux/resources/cpu/burst"},
    {"1.1.0", "/linux/resources/memory/checkBeforeUpdate"},
    {"1.1.0", "/linux/seccomp/defaultErrnoRet"},
    {"1.1.0", "/linux/seccomp/listenerPath"},
    {"1.1.0", "/linux/seccomp/listenerMetadata"},
    {"1.1.0", "/linux/seccomp/flags/*", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"},
    {"1.1.0", "/linux/seccomp/architectures/*", "SCMP_ARCH_RISCV64"},
    {"1.1.0", "/linux/seccomp/defaultAction", "SCMP_ACT_KILL_PROCESS SCMP_ACT_KILL_THREAD"},
    {"1.1.0", "/linux/seccomp/syscalls/*/action", "SCMP_ACT_KILL_PROCESS SCMP_ACT_KILL_THREAD SCMP_ACT_NOTIFY"},
    {"1.1.0", "/linux/seccomp/syscalls/*/errnoRet"},
    {"1.2.0", "/mounts/*/options/*", "idmap ridmap"},
    {"1.2.1", "/process/execCPUAffinity"},
    {"1.2.1", "/linux/seccomp/architectures/*", "SCMP_ARCH_LOONGARCH64 SCMP_ARCH_M68K SCMP_ARCH_SH SCMP_ARCH_SHEB"},
    {"1.3.0", "/linux/intelRdt/schemata"},
    {"1.3.0", "/linux/intelRdt/enableMonitoring"},
    {"1.3.0", "/linux/intelRdt/closID", "/"},
    {"1.3.0", "/linux/memoryPolicy"},
    {"1.3.0", "/linux/netDevices"},
});
// Not a word of a list: absolute before.
constexpr MemberRow kRelativeDestination{"1.2.0", "/mounts/*/destination"};

bool is_one_of(std::string_view words, std::string_view word) {
  for (const std::string_view one : split(words, ' ')) {
    if (one == word) return true;
  }
  return false;
}

// Goes down `rest` from `value` and calls found(pointer, value) for each value that is there.
template <typename F>
void visit(const Value& value, const std::string& pointer, std::string_view rest, F& found) {
  if (rest.empty()) return found(pointer, value);
  rest.remove_prefix(1);
  const std::string_view name = rest.substr(0, rest.find('/'));
  rest.remove_prefix(name.size());
  if (name == "*") {
    if (value.type() != Type::kArray) return;
    for (std::size_t i = 0; i < value.size(); ++i)
      visit(value.element(i), pointer + "/" + std::to_string(i), rest, found);
    return;
  }
  if (value.type() != Type::kObject) return;
  if (const auto member = value.find(name); member && !member->is_null())
    visit(*member, pointer + "/" + std::string(name), rest, found);
}

template <typename Wanted>
void collect(const Value& root, const MemberRow& row, const Wanted& wanted, std::vector<NewerMember>& out) {
  auto found = [&](const std::string& pointer, const Value& value) {
    if (wanted(value)) out.push_back({pointer, std::string(row.since)});
  };
  visit(root, "", row.pointer, found);
}

std::vector<NewerMember> collect_newer(const Value& root, const Version& claimed) {
  std::vector<NewerMember> out;
  for (const MemberRow& row : kMembers) {
    if (claimed >= version_of(row.since)) continue;
    collect(
        root, row, [&](const Value& value) { return row.values.empty() || is_one_of(row.values, value.as_string()); },
        out);
  }
  if (claimed < version_of(kRelativeDestination.since))
    collect(
        root, kRelativeDestination, [](const Value& value) { return !value.as_string().starts_with('/'); }, out);
  return out;
}

std::string_view claimed_by(const Value& root) {
  const auto version = root.find("ociVersion");
  return version ? version->as_string() : std::string_view();
}

}  // namespace

bool holds(Rule rule, std::string_view version) {
  for (const RuleRow& row : kRules) {
    if (row.rule == rule) return version_of(version) >= version_of(row.since);
  }
  return false;
}

Result<std::vector<NewerMember>> newer_members(std::string text, std::string_view what) {
  ASSIGN_OR_RETURN(const auto document, Document::parse(std::move(text), what));
  return collect_newer(document.root(), version_of(claimed_by(document.root())));
}

Result<std::string> describe_newer_members(std::string text, std::string_view what) {
  ASSIGN_OR_RETURN(const auto document, Document::parse(std::move(text), what));
  const std::string claimed(claimed_by(document.root()));
  const std::string place(what);
  if (version_of(claimed) > version_of(kSpecVersion))
    return place + ": ociVersion " + quoted(claimed) + " is newer than " + kSpecVersion +
           ", the newest known here: members that came later are ignored";
  const auto newer = collect_newer(document.root(), version_of(claimed));
  if (newer.empty()) return std::string();
  std::string out = place + ": newer than its ociVersion " + quoted(claimed) + ", and applied all the same: ";
  constexpr std::size_t kMost = 64;
  const std::size_t named = std::min(newer.size(), kMost);
  for (std::size_t i = 0; i < named; ++i) out += (i == 0 ? "" : ", ") + newer[i].pointer + " (" + newer[i].since + ")";
  if (named < newer.size()) out += " and " + std::to_string(newer.size() - named) + " more";
  return out;
}

}  // namespace cooper::spec::oci_runtime
