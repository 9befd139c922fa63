// From an image to the requirements for it.
#include <array>

#include "base/strings.h"
#include "policy/policy.h"

namespace cooper::policy {
namespace {

// "a.b.example:5000" -> "*.b.example", "*.example"
void add_wildcards(std::string_view host, std::vector<std::string>& out) {
  host = host.substr(0, host.find(':'));
  for (std::size_t dot = host.find('.'); dot != std::string_view::npos; dot = host.find('.')) {
    host.remove_prefix(dot + 1);
    out.push_back("*." + std::string(host));
  }
}

}  // namespace

std::string registry_scope(std::string_view scope) {
  const std::size_t end = std::min(scope.find('/'), scope.size());
  return to_lower(scope.substr(0, end)) + std::string(scope.substr(end));
}

Subject registry_subject(const oci_image::Reference& reference) {
  std::string name = reference.registry + "/" + reference.repository;
  Subject out{.transport = "docker", .scopes = {}};
  if (reference.digest) out.scopes.push_back(name + "@" + reference.digest->str());
  if (!reference.tag.empty() || !reference.digest) out.scopes.push_back(reference.name());
  while (true) {
    out.scopes.push_back(name);
    const std::size_t slash = name.rfind('/');
    if (slash == std::string::npos) break;
    name.resize(slash);
  }
  add_wildcards(reference.registry, out.scopes);
  return out;
}

Subject path_subject(std::string_view transport, std::string_view path) {
  Subject out{.transport = std::string(transport), .scopes = {}};
  // "/" is written "".
  while (path.size() > 1) {
    out.scopes.emplace_back(path);
    path = path.substr(0, path.rfind('/'));
  }
  return out;
}

Rule find_rule(const Policy& policy, const Subject& subject) {
  const auto transport = policy.transports.find(subject.transport);
  if (transport == policy.transports.end()) return {&policy.standard, "default"};
  for (const std::string& scope : subject.scopes) {
    const auto found = transport->second.find(scope);
    if (found != transport->second.end()) return {&found->second, subject.transport + ": " + scope};
  }
  const auto found = transport->second.find("");
  if (found != transport->second.end()) return {&found->second, subject.transport + ": default"};
  return {&policy.standard, "default"};
}

std::string describe(const Requirement& requirement) {
  std::string out = requirement.type;
  if (requirement.kind == Requirement::Kind::kUnsupported) return out + ": " + requirement.reason + " is not supported";
  if (requirement.kind != Requirement::Kind::kSignedBy && requirement.kind != Requirement::Kind::kSigstoreSigned)
    return out;
  std::vector<std::string> paths;
  for (const std::string& path : requirement.key_paths) paths.push_back(quoted(path));
  out += paths.empty() ? ": keys in the policy itself" : ": keys of " + join(paths, ", ");
  out += ", identity " + std::string(to_string(requirement.identity.match));
  if (!requirement.identity.reference.empty()) out += " " + quoted(requirement.identity.reference);
  if (!requirement.identity.prefix.empty())
    out += " " + quoted(requirement.identity.prefix) + " as " + quoted(requirement.identity.signed_prefix);
  return out;
}

}  // namespace cooper::policy
