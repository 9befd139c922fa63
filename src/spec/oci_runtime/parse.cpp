#include "spec/oci_runtime/parse.h"

#include "base/chars.h"
#include "base/strings.h"
#include "spec/oci_runtime/internal/read.h"

namespace cooper::spec::oci_runtime {
namespace internal {

namespace {

bool is_semver_number(std::string_view text) {
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return false;
  return text.find_first_not_of("0123456789") == std::string_view::npos;
}

// Dot-separated, non-empty [0-9A-Za-z-] identifiers.
bool is_semver_suffix(std::string_view text) {
  for (const std::string_view part : split(text, '.')) {
    if (part.empty()) return false;
    for (const char c : part) {
      if (!is_alnum(c) && c != '-') return false;
    }
  }
  return true;
}

Status check_version(const Cursor& object, const std::string& version) {
  const auto fail = [&](std::string_view why, Errc code) -> Status {
    return object.get("ociVersion")->error(std::string(why) + " (got " + quoted(version) + ")", code);
  };
  std::string_view core(version);
  if (const std::size_t plus = core.find('+'); plus != std::string_view::npos) {
    if (!is_semver_suffix(core.substr(plus + 1))) return fail("must be a semantic version", Errc::kInvalidArgument);
    core = core.substr(0, plus);
  }
  if (const std::size_t dash = core.find('-'); dash != std::string_view::npos) {
    if (!is_semver_suffix(core.substr(dash + 1))) return fail("must be a semantic version", Errc::kInvalidArgument);
    core = core.substr(0, dash);
  }
  const auto numbers = split(core, '.');
  if (numbers.size() != 3) return fail("must be a semantic version", Errc::kInvalidArgument);
  for (const std::string_view number : numbers) {
    if (!is_semver_number(number)) return fail("must be a semantic version", Errc::kInvalidArgument);
  }
  if (numbers[0] != "1") return fail("only version 1 of the runtime specification is supported", Errc::kUnsupported);
  return {};
}

Status read_mount(const Cursor& object, Mount& out) {
  RETURN_IF_ERROR(require(object, "destination", out.destination));
  RETURN_IF_ERROR(object.read("type", out.type));
  RETURN_IF_ERROR(object.read("source", out.source));
  RETURN_IF_ERROR(read_texts(object, "options", out.options));
  RETURN_IF_ERROR(read_list(object, "uidMappings", out.uid_mappings, read_id_mapping));
  return read_list(object, "gidMappings", out.gid_mappings, read_id_mapping);
}

Status read_root(const Cursor& object, Root& out) {
  RETURN_IF_ERROR(require(object, "path", out.path));
  return object.read("readonly", out.readonly);
}

Status read_hook(const Cursor& object, Hook& out) {
  RETURN_IF_ERROR(require(object, "path", out.path));
  RETURN_IF_ERROR(read_texts(object, "args", out.args));
  RETURN_IF_ERROR(read_texts(object, "env", out.env));
  return object.read("timeout", out.timeout_s);
}

Status read_hooks(const Cursor& object, Hooks& out) {
  RETURN_IF_ERROR(read_list(object, "prestart", out.prestart, read_hook));
  RETURN_IF_ERROR(read_list(object, "createRuntime", out.create_runtime, read_hook));
  RETURN_IF_ERROR(read_list(object, "createContainer", out.create_container, read_hook));
  RETURN_IF_ERROR(read_list(object, "startContainer", out.start_container, read_hook));
  RETURN_IF_ERROR(read_list(object, "poststart", out.poststart, read_hook));
  return read_list(object, "poststop", out.poststop, read_hook);
}

Status read_config(const Cursor& object, Config& out) {
  RETURN_IF_ERROR(object.expect_object());
  RETURN_IF_ERROR(require(object, "ociVersion", out.oci_version));
  RETURN_IF_ERROR(check_version(object, out.oci_version));
  RETURN_IF_ERROR(read_part(object, "root", out.root, read_root));
  RETURN_IF_ERROR(read_list(object, "mounts", out.mounts, read_mount));
  RETURN_IF_ERROR(read_part(object, "process", out.process, read_process));
  RETURN_IF_ERROR(object.read("hostname", out.hostname));
  RETURN_IF_ERROR(object.read("domainname", out.domainname));
  if (const auto hooks = object.get("hooks")) {
    RETURN_IF_ERROR(hooks->expect_object());
    RETURN_IF_ERROR(read_hooks(*hooks, out.hooks));
  }
  RETURN_IF_ERROR(read_map(object, "annotations", out.annotations, read_text));
  return read_part(object, "linux", out.linux, read_linux);
}

Status read_state(const Cursor& object, State& out) {
  RETURN_IF_ERROR(object.expect_object());
  RETURN_IF_ERROR(require(object, "ociVersion", out.oci_version));
  RETURN_IF_ERROR(require(object, "id", out.id));
  RETURN_IF_ERROR(require(object, "status", out.status));
  RETURN_IF_ERROR(object.read("pid", out.pid));
  RETURN_IF_ERROR(object.read("bundle", out.bundle));
  return read_map(object, "annotations", out.annotations, read_text);
}

template <typename T>
Result<T> parse(std::string text, std::string_view what, Status (*read)(const Cursor&, T&)) {
  ASSIGN_OR_RETURN(const auto document, codec::json::Document::parse(std::move(text), what));
  T out;
  RETURN_IF_ERROR(read(Cursor(document.root(), what), out));
  return out;
}

}  // namespace
}  // namespace internal

Result<Config> parse_config(std::string text, std::string_view what) {
  return internal::parse<Config>(std::move(text), what, internal::read_config);
}

Result<Process> parse_process(std::string text, std::string_view what) {
  return internal::parse<Process>(std::move(text), what, internal::read_process);
}

Result<Resources> parse_resources(std::string text, std::string_view what) {
  return internal::parse<Resources>(std::move(text), what, internal::read_resources);
}

Result<State> parse_state(std::string text, std::string_view what) {
  return internal::parse<State>(std::move(text), what, internal::read_state);
}

}  // namespace cooper::spec::oci_runtime
