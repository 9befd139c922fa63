#include "stage1/seccomp_file.h"

#include <sys/utsname.h>

#include <algorithm>

#include "base/strings.h"
#include "codec/json.h"

namespace cooper::stage1 {
namespace {

using codec::json::Cursor;

#if defined(__x86_64__)
constexpr const char* kArchitecture = "SCMP_ARCH_X86_64";
constexpr const char* kGoArchitecture = "amd64";
#elif defined(__aarch64__)
constexpr const char* kArchitecture = "SCMP_ARCH_AARCH64";
constexpr const char* kGoArchitecture = "arm64";
#else
constexpr const char* kArchitecture = "";
constexpr const char* kGoArchitecture = "";
#endif

// A condition object: {"caps":[...],"arches":[...],"minKernel":"4.8"}. Absent parts ask for nothing.
struct Condition {
  std::vector<std::string> caps, arches;
  std::string min_kernel;
};

Result<Condition> read_condition(const Cursor& rule, std::string_view name) {
  Condition out;
  const auto object = rule.get(name);
  if (!object) return out;
  RETURN_IF_ERROR(object->expect_object());
  RETURN_IF_ERROR(object->read("caps", out.caps));
  RETURN_IF_ERROR(object->read("arches", out.arches));
  RETURN_IF_ERROR(object->read("minKernel", out.min_kernel));
  return out;
}

bool contains(const std::vector<std::string>& list, const std::string& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

bool kernel_at_least(const std::string& text, const ProfileContext& context) {
  const auto parts = split(text, '.');
  const int major = parse_number<int>(parts[0]).value_or(0);
  const int minor = parts.size() > 1 ? parse_number<int>(parts[1]).value_or(0) : 0;
  return context.kernel_major > major || (context.kernel_major == major && context.kernel_minor >= minor);
}

bool applies(const Condition& includes, const Condition& excludes, const ProfileContext& context) {
  const auto granted = [&](const std::string& cap) { return contains(context.capabilities, cap); };
  if (std::any_of(excludes.caps.begin(), excludes.caps.end(), granted)) return false;
  if (contains(excludes.arches, context.go_architecture)) return false;
  if (!excludes.min_kernel.empty() && kernel_at_least(excludes.min_kernel, context)) return false;
  if (!std::all_of(includes.caps.begin(), includes.caps.end(), granted)) return false;
  if (!includes.arches.empty() && !contains(includes.arches, context.go_architecture)) return false;
  return includes.min_kernel.empty() || kernel_at_least(includes.min_kernel, context);
}

std::optional<std::uint32_t> errno_from_name(const std::string& name) {
  for (int number = 1; number < 134; ++number) {
    if (errno_name(number) == name) return static_cast<std::uint32_t>(number);
  }
  return std::nullopt;
}

// The number wins; older profiles have the name only.
Status read_errno(const Cursor& object, std::string_view number_key, std::string_view name_key,
                  std::optional<std::uint32_t>& out) {
  RETURN_IF_ERROR(object.read(number_key, out));
  std::string name;
  RETURN_IF_ERROR(object.read(name_key, name));
  if (out || name.empty()) return {};
  out = errno_from_name(name);
  if (!out) return object.error("unknown errno " + quoted(name));
  return {};
}

Status read_args(const Cursor& rule, std::vector<oci::SeccompArg>& out) {
  const auto args = rule.get("args");
  if (!args) return {};
  return args->for_each([&](const Cursor& item) -> Status {
    RETURN_IF_ERROR(item.expect_object());
    oci::SeccompArg arg;
    RETURN_IF_ERROR(item.read("index", arg.index));
    RETURN_IF_ERROR(item.read("value", arg.value));
    RETURN_IF_ERROR(item.read("valueTwo", arg.value_two));
    RETURN_IF_ERROR(item.read("op", arg.op));
    out.push_back(std::move(arg));
    return {};
  });
}

Status read_rule(const Cursor& rule, const ProfileContext& context, oci::Seccomp& out) {
  RETURN_IF_ERROR(rule.expect_object());
  ASSIGN_OR_RETURN(const Condition includes, read_condition(rule, "includes"));
  ASSIGN_OR_RETURN(const Condition excludes, read_condition(rule, "excludes"));
  oci::SeccompSyscall entry;
  std::string single;
  RETURN_IF_ERROR(rule.read("names", entry.names));
  RETURN_IF_ERROR(rule.read("name", single));
  if (!single.empty()) entry.names.push_back(single);
  if (entry.names.empty()) return rule.error("needs 'names'");
  ASSIGN_OR_RETURN(const Cursor action, rule.require("action"));
  ASSIGN_OR_RETURN(entry.action, action.string());
  RETURN_IF_ERROR(read_errno(rule, "errnoRet", "errno", entry.errno_ret));
  RETURN_IF_ERROR(read_args(rule, entry.args));
  if (applies(includes, excludes, context)) out.syscalls.push_back(std::move(entry));
  return {};
}

Status read_architectures(const Cursor& root, const ProfileContext& context, oci::Seccomp& out) {
  RETURN_IF_ERROR(root.read("architectures", out.architectures));
  const auto map = root.get("archMap");
  if (!map) return {};
  if (!out.architectures.empty()) return root.error("'architectures' and 'archMap' exclude each other");
  return map->for_each([&](const Cursor& item) -> Status {
    RETURN_IF_ERROR(item.expect_object());
    std::string name;
    std::vector<std::string> sub;
    RETURN_IF_ERROR(item.read("architecture", name));
    RETURN_IF_ERROR(item.read("subArchitectures", sub));
    if (name != context.architecture) return {};
    out.architectures.push_back(name);
    out.architectures.insert(out.architectures.end(), sub.begin(), sub.end());
    return {};
  });
}

}  // namespace

ProfileContext profile_context(std::vector<std::string> capabilities) {
  ProfileContext out{std::move(capabilities), kArchitecture, kGoArchitecture, 0, 0};
  struct utsname names = {};
  if (::uname(&names) == 0) {
    const auto parts = split(names.release, '.');
    out.kernel_major = parse_number<int>(parts[0]).value_or(0);
    if (parts.size() > 1) {
      const std::string_view minor = parts[1];
      out.kernel_minor = parse_number<int>(minor.substr(0, minor.find_first_not_of("0123456789"))).value_or(0);
    }
  }
  return out;
}

Result<oci::Seccomp> parse_profile(std::string text, std::string_view what, const ProfileContext& context) {
  if (text.size() > kMaxProfileBytes) return Error(Errc::kLimit, std::string(what) + ": larger than a profile may be");
  ASSIGN_OR_RETURN(const auto document, codec::json::Document::parse(std::move(text), what));
  const Cursor root(document.root(), what);
  RETURN_IF_ERROR(root.expect_object());
  oci::Seccomp out;
  ASSIGN_OR_RETURN(const Cursor action, root.require("defaultAction"));
  ASSIGN_OR_RETURN(out.default_action, action.string());
  RETURN_IF_ERROR(read_errno(root, "defaultErrnoRet", "defaultErrno", out.default_errno_ret));
  RETURN_IF_ERROR(root.read("flags", out.flags));
  RETURN_IF_ERROR(root.read("listenerPath", out.listener_path));
  RETURN_IF_ERROR(root.read("listenerMetadata", out.listener_metadata));
  RETURN_IF_ERROR(read_architectures(root, context, out));
  if (const auto rules = root.get("syscalls")) {
    RETURN_IF_ERROR(rules->for_each([&](const Cursor& rule) { return read_rule(rule, context, out); }));
  }
  return out;
}

}  // namespace cooper::stage1
