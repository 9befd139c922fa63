#include "fetch/registries.h"

#include <algorithm>

#include "base/strings.h"
#include "codec/toml.h"
#include "io/file.h"
#include "sys/file.h"

namespace cooper::fetch {
namespace {

using codec::toml::Node;

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 20;
constexpr std::string_view kAnyHost = "*.";

// Of "host[:port]", without the port; an IPv6 address has its brackets.
std::size_t host_bytes(std::string_view registry) {
  const std::size_t bracket = registry.starts_with('[') ? registry.find(']') : 0;
  return std::min(registry.find(':', bracket), registry.size());
}

// One file on its way into the configuration.
class Reader {
 public:
  Reader(RegistriesConfig& config, const std::string& file) : config_(config), file_(file) {}
  Status read(const Node& root);

 private:
  std::string place(const Node& at) const { return file_ + ": line " + std::to_string(at.line); }
  Error wrong(const Node& at, const std::string& message) const {
    return Error(Errc::kInvalidArgument, place(at) + ": " + message);
  }
  Result<std::string> text(const Node& table, std::string_view key) const;
  Result<bool> flag(const Node& table, std::string_view key) const;
  Result<std::string> location(const Node& table) const;
  Result<std::string> prefix(const Node& table) const;
  Result<RegistryMirror> mirror(const Node& table, bool by_digest_only) const;
  Status rule(const Node& table);
  Status search(const Node& list);
  Status aliases(const Node& table);

  RegistriesConfig& config_;
  const std::string& file_;
  std::map<std::string, std::string> seen_;  // prefix -> where in this file
};

Result<std::string> Reader::text(const Node& table, std::string_view key) const {
  const Node* value = table.find(key);
  if (value == nullptr) return std::string();
  if (value->kind != Node::Kind::kString) return wrong(*value, quoted(key) + " must be text");
  return value->text;
}

Result<bool> Reader::flag(const Node& table, std::string_view key) const {
  const Node* value = table.find(key);
  if (value == nullptr) return false;
  if (value->kind != Node::Kind::kBoolean) return wrong(*value, quoted(key) + " must be true or false");
  return value->boolean;
}

// "host[:port][/path]" with which a name may begin; the host in lower case.
Result<std::string> clean_location(std::string text) {
  while (text.ends_with('/')) text.pop_back();
  if (text.find("://") != std::string::npos)
    return Error(Errc::kInvalidArgument, quoted(text) + " is an address: leave out what is before the host");
  const auto parsed = oci_image::parse_reference(text + "/x");
  if (!parsed.ok()) return Error(Errc::kInvalidArgument, quoted(text) + " cannot be the beginning of an image name");
  if (parsed->registry.empty()) {
    return Error(Errc::kInvalidArgument,
                 quoted(text) + " does not begin with a registry, whose name has a dot or a port");
  }
  const std::size_t slash = text.find('/');
  return to_lower(text.substr(0, slash)) + (slash == std::string::npos ? "" : text.substr(slash));
}

Result<std::string> Reader::location(const Node& table) const {
  ASSIGN_OR_RETURN(std::string given, text(table, "location"));
  if (given.empty()) return given;
  auto clean = clean_location(std::move(given));
  if (!clean.ok()) return wrong(*table.find("location"), "location " + clean.error().message());
  return clean;
}

Result<std::string> Reader::prefix(const Node& table) const {
  ASSIGN_OR_RETURN(std::string given, text(table, "prefix"));
  while (given.ends_with('/')) given.pop_back();
  if (given.empty()) return given;
  const Node& at = *table.find("prefix");
  const bool wild = given.starts_with(kAnyHost);
  const std::string host = wild ? "any." + given.substr(kAnyHost.size()) : given;
  // A prefix may be a whole name, with tag or digest.
  const auto parsed = oci_image::parse_reference(host.find('/') == std::string::npos ? host + "/x" : host);
  if (!parsed.ok() || parsed->registry.empty()) {
    return wrong(at, "prefix " + quoted(given) +
                         " is neither the beginning of an image name, HOST[:PORT][/PATH], nor *.DOMAIN[/PATH]");
  }
  const std::size_t slash = given.find('/');
  return to_lower(given.substr(0, slash)) + (slash == std::string::npos ? "" : given.substr(slash));
}

Result<RegistryMirror> Reader::mirror(const Node& table, bool by_digest_only) const {
  if (table.kind != Node::Kind::kTable) return wrong(table, "'mirror' must be tables: [[registry.mirror]]");
  RegistryMirror out;
  ASSIGN_OR_RETURN(out.location, location(table));
  if (out.location.empty()) return wrong(table, "a mirror without a 'location'");
  ASSIGN_OR_RETURN(out.insecure, flag(table, "insecure"));
  if (by_digest_only) out.use = RegistryMirror::Use::kDigestOnly;
  ASSIGN_OR_RETURN(const std::string use, text(table, "pull-from-mirror"));
  if (use.empty()) return out;
  if (by_digest_only) return wrong(table, "'pull-from-mirror' and 'mirror-by-digest-only' say the same: only one");
  if (use == "digest-only") {
    out.use = RegistryMirror::Use::kDigestOnly;
  } else if (use == "tag-only") {
    out.use = RegistryMirror::Use::kTagOnly;
  } else if (use != "all") {
    return wrong(*table.find("pull-from-mirror"),
                 "'pull-from-mirror' is " + quoted(use) + ", not all, digest-only or tag-only");
  }
  return out;
}

Status Reader::rule(const Node& table) {
  if (table.kind != Node::Kind::kTable) return wrong(table, "'registry' must be tables: [[registry]]");
  RegistryRule out{.place = place(table)};
  ASSIGN_OR_RETURN(out.prefix, prefix(table));
  ASSIGN_OR_RETURN(out.location, location(table));
  if (out.prefix.empty()) out.prefix = out.location;
  if (out.prefix.empty()) return wrong(table, "a registry with neither 'prefix' nor 'location'");
  ASSIGN_OR_RETURN(out.insecure, flag(table, "insecure"));
  ASSIGN_OR_RETURN(out.blocked, flag(table, "blocked"));
  ASSIGN_OR_RETURN(const bool by_digest_only, flag(table, "mirror-by-digest-only"));
  if (const Node* use = table.find("pull-from-mirror"))
    return wrong(*use, "'pull-from-mirror' belongs to a mirror: [[registry.mirror]]");
  if (const Node* mirrors = table.find("mirror")) {
    if (mirrors->kind != Node::Kind::kArray) return wrong(*mirrors, "'mirror' must be tables: [[registry.mirror]]");
    for (const Node& one : mirrors->elements) {
      ASSIGN_OR_RETURN(RegistryMirror made, mirror(one, by_digest_only));
      out.mirrors.push_back(std::move(made));
    }
  }
  const auto [at, added] = seen_.emplace(out.prefix, out.place);
  if (!added) return wrong(table, "prefix " + quoted(out.prefix) + " is there already (" + at->second + ")");
  config_.rules.insert_or_assign(out.prefix, std::move(out));
  return {};
}

Status Reader::search(const Node& list) {
  if (list.kind != Node::Kind::kArray)
    return wrong(list, "'unqualified-search-registries' must be an array of registries");
  std::vector<std::string> out;
  for (const Node& element : list.elements) {
    if (element.kind != Node::Kind::kString) return wrong(element, "a registry must be text");
    auto clean = clean_location(element.text);
    if (!clean.ok()) return wrong(element, clean.error().message());
    out.push_back(std::move(*clean));
  }
  config_.search = std::move(out);
  config_.search_place = place(list);
  return {};
}

Status Reader::aliases(const Node& table) {
  if (table.kind != Node::Kind::kTable) return wrong(table, "'aliases' must be a table");
  for (const auto& [name, value] : table.members) {
    if (value.kind != Node::Kind::kString) return wrong(value, "alias " + quoted(name) + " must be text");
    const auto given = oci_image::parse_reference(name);
    if (!given.ok() || !given->registry.empty() || !given->tag.empty() || given->digest)
      return wrong(value, "alias " + quoted(name) + " is no short name: it has neither registry, nor tag, nor digest");
    if (value.text.empty()) {
      config_.aliases.erase(name);
      continue;
    }
    const auto full = oci_image::parse_reference(value.text);
    if (!full.ok()) return wrong(value, "alias " + quoted(name) + ": " + full.error().message());
    if (full->registry.empty() || !full->tag.empty() || full->digest) {
      return wrong(value, "alias " + quoted(name) + " is for " + quoted(value.text) +
                              ", which must be REGISTRY/NAME without tag and digest");
    }
    config_.aliases.insert_or_assign(name, RegistriesConfig::Alias{full->str(), place(value)});
  }
  return {};
}

Status Reader::read(const Node& root) {
  // Version 1, which nobody reads any more: what it blocks would be let through.
  if (const Node* old = root.find("registries")) {
    return wrong(*old, "is of version 1 of this format: [registries...]")
        .with_hint(
            "write unqualified-search-registries = [...] and [[registry]] instead: containers-registries.conf(5)");
  }
  if (const Node* list = root.find("unqualified-search-registries")) RETURN_IF_ERROR(search(*list));
  ASSIGN_OR_RETURN(const std::string mode, text(root, "short-name-mode"));
  if (mode == "enforcing") {
    config_.mode = RegistriesConfig::ShortNames::kEnforcing;
  } else if (mode == "permissive") {
    config_.mode = RegistriesConfig::ShortNames::kPermissive;
  } else if (mode == "disabled") {
    config_.mode = RegistriesConfig::ShortNames::kDisabled;
  } else if (!mode.empty()) {
    return wrong(*root.find("short-name-mode"),
                 "'short-name-mode' is " + quoted(mode) + ", not enforcing, permissive or disabled");
  }
  if (const Node* rules = root.find("registry")) {
    if (rules->kind != Node::Kind::kArray) return wrong(*rules, "'registry' must be tables: [[registry]]");
    for (const Node& one : rules->elements) RETURN_IF_ERROR(rule(one));
  }
  const Node* names = root.find("aliases");
  return names == nullptr ? Status() : aliases(*names);
}

Status add_file(RegistriesConfig& config, const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, io::read_regular_file(path, kMaxFileBytes));
  return add_registries(config, text, path);
}

Status add_directory(RegistriesConfig& config, const std::string& directory) {
  const auto fd = sys::openat(sys::kCwd, directory, O_RDONLY | O_DIRECTORY);
  if (!fd.ok() && fd.error().code() == Errc::kNotFound) return {};
  if (!fd.ok()) return Error(fd.error().code(), fd.error().message(), fd.error().errno_value());
  ASSIGN_OR_RETURN(auto names, sys::list_directory(*fd));
  std::ranges::sort(names);
  for (const std::string& name : names) {
    if (name.ends_with(".conf")) RETURN_IF_ERROR(add_file(config, std::string(directory).append("/").append(name)));
  }
  return {};
}

}  // namespace

Status add_registries(RegistriesConfig& config, std::string_view text, const std::string& file) {
  ASSIGN_OR_RETURN(const Node root, codec::toml::parse(text, file));
  return Reader(config, file).read(root);
}

Result<RegistriesConfig> read_registries(const RegistriesFiles& files) {
  RegistriesConfig out;
  if (!files.must_file.empty()) {
    RETURN_IF_ERROR(add_file(out, files.must_file));
  } else {
    for (const std::string& path : files.files) {
      Status added = add_file(out, path);
      if (added.ok()) break;
      if (added.error().code() != Errc::kNotFound) return std::move(added).error();
    }
  }
  for (const std::string& directory : files.directories) RETURN_IF_ERROR(add_directory(out, directory));
  return out;
}

std::optional<std::size_t> matching_bytes(const oci_image::Reference& reference, std::string_view prefix) {
  const std::string name = reference.registry + "/" + reference.repository;
  const std::string whole = reference.str();
  // A prefix that is a host without a port covers the host alone, whatever the port.
  const std::size_t host_end = host_bytes(reference.registry);
  std::size_t end = prefix.size();
  if (prefix.starts_with(kAnyHost)) {
    // At least one label before the domain, and all of it in the host.
    const std::string_view domain = prefix.substr(1);
    const std::size_t path = std::min(domain.find('/'), domain.size());
    const std::string_view host = domain.substr(0, path);
    const bool any_port = path == domain.size() && host_bytes(host) == host.size();
    const std::string_view own =
        std::string_view(reference.registry).substr(0, any_port ? host_end : std::string::npos);
    if (!own.ends_with(host) || own.size() == host.size()) return std::nullopt;
    if (!std::string_view(whole).substr(own.size()).starts_with(domain.substr(path))) return std::nullopt;
    end = own.size() + domain.size() - path;
  } else if (!whole.starts_with(prefix)) {
    return std::nullopt;
  }
  const bool whole_components = end == whole.size() || whole[end] == '/' || end == host_end ||
                                (end >= name.size() && (whole[end] == ':' || whole[end] == '@'));
  return whole_components ? std::optional(end) : std::nullopt;
}

const RegistryRule* find_rule(const RegistriesConfig& config, const oci_image::Reference& reference) {
  const RegistryRule* best = nullptr;
  for (const auto& [prefix, rule] : config.rules) {
    if (matching_bytes(reference, prefix) && (best == nullptr || prefix.size() > best->prefix.size())) best = &rule;
  }
  return best;
}

Status check_allowed(const RegistriesConfig& config, const oci_image::Reference& reference) {
  const RegistryRule* rule = find_rule(config, reference);
  const std::size_t host_end = host_bytes(reference.registry);
  const auto covered = rule == nullptr ? std::optional<std::size_t>(0) : matching_bytes(reference, rule->prefix);
  if ((rule == nullptr || !rule->blocked) && host_end < reference.registry.size() && covered.value_or(0) <= host_end) {
    // No rule is for that port: to write one is no way into a part of a registry that is blocked.
    oci_image::Reference portless = reference;
    portless.registry.resize(host_end);
    rule = find_rule(config, portless);
  }
  if (rule == nullptr || !rule->blocked) return {};
  return Error(Errc::kPermission, "registry " + quoted(reference.registry) + " is blocked: prefix " +
                                      quoted(rule->prefix) + " (" + rule->place + ")")
      .with_hint("that is the administrator's word; 'blocked = false' there would let it in");
}

Result<RegistryPlace> moved(const oci_image::Reference& reference, std::size_t covered, const std::string& location) {
  const std::string name = reference.registry + "/" + reference.repository;
  std::string rest = name.substr(std::min(covered, name.size()));
  // The port of the name is that of the location's host, unless the location has one.
  std::string port;
  if (rest.starts_with(':')) {
    port = rest.substr(0, rest.find('/'));
    rest.erase(0, port.size());
  }
  const std::string host = location.substr(0, location.find('/'));
  if (host_bytes(host) != host.size()) port.clear();
  const std::string full = host + port + location.substr(host.size()) + rest;
  const std::size_t slash = full.find('/');
  if (slash == std::string::npos) {
    return Error(Errc::kInvalidArgument,
                 "image " + quoted(reference.str()) + " would be " + quoted(full) + ", which has no repository")
        .with_hint("add one to the location, or make the prefix shorter");
  }
  RegistryPlace out{.registry = full.substr(0, slash), .repository = full.substr(slash + 1)};
  if (out.registry == oci_image::kDockerHub && out.repository.find('/') == std::string::npos)
    out.repository.insert(0, "library/");
  return out;
}

Result<std::vector<oci_image::Reference>> full_names(const RegistriesConfig& config,
                                                     const oci_image::Reference& reference) {
  if (!reference.registry.empty()) return std::vector{reference};
  const auto as = [&](const std::string& name) -> Result<oci_image::Reference> {
    ASSIGN_OR_RETURN(oci_image::Reference full, oci_image::parse_reference(name));
    full.tag = reference.tag;
    full.digest = reference.digest;
    return full;
  };
  std::vector<oci_image::Reference> out;
  const auto alias = config.aliases.find(reference.repository);
  if (alias != config.aliases.end() && config.mode != RegistriesConfig::ShortNames::kDisabled) {
    ASSIGN_OR_RETURN(oci_image::Reference full, as(alias->second.name));
    out.push_back(std::move(full));
    return out;
  }
  for (const std::string& registry : config.search.value_or(std::vector<std::string>())) {
    ASSIGN_OR_RETURN(oci_image::Reference full, as(registry + "/" + reference.repository));
    out.push_back(std::move(full));
  }
  if (out.empty()) out.push_back(oci_image::qualify(reference, oci_image::kDockerHub));
  if (out.size() == 1 || config.mode != RegistriesConfig::ShortNames::kEnforcing) return out;
  std::vector<std::string> names;
  for (const oci_image::Reference& one : out) names.push_back(one.str());
  return Error(Errc::kInvalidArgument, "image name " + quoted(reference.str()) + " may stand for " +
                                           join(names, " or ") + ", and short-name-mode is enforcing (" +
                                           config.search_place + ")")
      .with_hint("give the full name, or an alias under [aliases] of registries.conf");
}

}  // namespace cooper::fetch
