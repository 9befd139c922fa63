#include "seccomp/internal/podman_profile.h"

#include <algorithm>

#include "codec/json.h"
#include "io/file.h"

namespace cooper::seccomp::testing {
namespace {

using codec::json::Value;

bool intersects(const Value& names, const std::vector<std::string>& with) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (std::find(with.begin(), with.end(), names.element(i).as_string()) != with.end()) return true;
  }
  return false;
}

bool applies(const Value& rule, const std::vector<std::string>& capabilities) {
  const std::vector<std::string> machine{"amd64"};
  const auto of = [&](const char* group, const char* kind) -> std::optional<Value> {
    const auto found = rule.find(group);
    return found ? found->find(kind) : std::nullopt;
  };
  if (const auto caps = of("includes", "caps"); caps && caps->size() != 0 && !intersects(*caps, capabilities))
    return false;
  if (const auto caps = of("excludes", "caps"); caps && intersects(*caps, capabilities)) return false;
  if (const auto arches = of("includes", "arches"); arches && arches->size() != 0 && !intersects(*arches, machine))
    return false;
  if (const auto arches = of("excludes", "arches"); arches && intersects(*arches, machine)) return false;
  return true;
}

}  // namespace

std::optional<oci::Seccomp> podman_profile(const std::vector<std::string>& capabilities, const std::string& path) {
  auto text = io::read_file(path);
  if (!text.ok()) return std::nullopt;
  const auto document = codec::json::Document::parse(std::move(*text), path);
  if (!document.ok()) return std::nullopt;
  const Value root = document->root();
  oci::Seccomp out;
  out.default_action = root.find("defaultAction")->as_string();
  if (const auto ret = root.find("defaultErrnoRet"))
    out.default_errno_ret = static_cast<std::uint32_t>(*ret->as_uint64());
  out.architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
  const Value rules = *root.find("syscalls");
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const Value rule = rules.element(i);
    if (!applies(rule, capabilities)) continue;
    oci::SeccompSyscall entry;
    entry.action = rule.find("action")->as_string();
    if (const auto ret = rule.find("errnoRet")) entry.errno_ret = static_cast<std::uint32_t>(*ret->as_uint64());
    const Value names = *rule.find("names");
    for (std::size_t n = 0; n < names.size(); ++n) entry.names.emplace_back(names.element(n).as_string());
    if (const auto args = rule.find("args")) {
      for (std::size_t n = 0; n < args->size(); ++n) {
        const Value arg = args->element(n);
        entry.args.push_back({.index = static_cast<std::uint32_t>(*arg.find("index")->as_uint64()),
                              .value = *arg.find("value")->as_uint64(),
                              .value_two = *arg.find("valueTwo")->as_uint64(),
                              .op = std::string(arg.find("op")->as_string())});
      }
    }
    out.syscalls.push_back(std::move(entry));
  }
  return out;
}

}  // namespace cooper::seccomp::testing
