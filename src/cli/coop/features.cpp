// The document of the specification's "features" page: what this build can do, for callers that ask before they use it.
#include "cli/coop/commands.h"
#include "cli/coop/version.h"
#include "codec/json.h"
#include "container/memory_policy.h"
#include "container/mount_options.h"
#include "seccomp/seccomp.h"
#include "spec/oci_runtime/defaults.h"
#include "sys/tables.h"

namespace cooper::cli::coop {
namespace {

using codec::json::Writer;
using Words = std::vector<std::string>;

Words mount_options() {
  Words out;
  for (const auto& word : container::mount_option_words()) out.emplace_back(word.word);
  return out;
}

Words namespaces() {
  Words out;
  for (const auto& info : sys::namespaces()) out.emplace_back(info.oci_name);
  return out;
}

Words capabilities() {
  Words out;
  for (const auto& name : sys::capability_names()) out.emplace_back(name);
  return out;
}

Words policy_words(std::span<const container::PolicyWord> words) {
  Words out;
  for (const auto& entry : words) out.emplace_back(entry.word);
  return out;
}

void write_seccomp(Writer& out) {
  out.key("seccomp").begin_object().field("enabled", true);
  out.field("actions", seccomp::supported_actions())
      .field("operators", seccomp::supported_operators())
      .field("archs", seccomp::supported_architectures());
  out.field("knownFlags", seccomp::known_flags()).field("supportedFlags", seccomp::supported_flags()).end_object();
}

void write_enabled(Writer& out, std::string_view name, bool enabled) {
  out.key(name).begin_object().field("enabled", enabled).end_object();
}

void write_linux(Writer& out) {
  out.key("linux").begin_object().field("namespaces", namespaces()).field("capabilities", capabilities());
  out.key("cgroup")
      .begin_object()
      .field("v1", true)
      .field("v2", true)
      .field("systemd", true)
      .field("systemdUser", true)
      .field("rdma", true)
      .end_object();
  write_seccomp(out);
  write_enabled(out, "apparmor", true);
  write_enabled(out, "selinux", true);
  out.key("memoryPolicy").begin_object();
  out.field("modes", policy_words(container::memory_policy_modes()));
  out.field("flags", policy_words(container::memory_policy_flags())).end_object();
  out.key("intelRdt")
      .begin_object()
      .field("enabled", true)
      .field("schemata", true)
      .field("monitoring", true)
      .end_object();
  out.key("mountExtensions").begin_object();
  write_enabled(out, "idmap", true);
  out.end_object();
  write_enabled(out, "netDevices", true);
  out.end_object();
}

}  // namespace

Result<int> run_features(const Call&) {
  Writer out(Writer::Style::kPretty);
  out.begin_object().field("ociVersionMin", oci::kSpecVersionMin).field("ociVersionMax", oci::kSpecVersion);
  out.field("hooks", Words{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"});
  out.field("mountOptions", mount_options());
  write_linux(out);
  out.key("annotations").begin_object().field("org.cooper.version", COOPER_VERSION);
  if (!commit().empty()) out.field("org.cooper.commit", commit());
  out.field("org.cooper.checkpoint.enabled", "true");
  out.field("org.opencontainers.runc.checkpoint.enabled", "true").end_object();
  out.field("potentiallyUnsafeConfigAnnotations",
            Words{"org.criu.config", "org.systemd.property.", "run.oci.keep_original_groups"});
  RETURN_IF_ERROR(print(out.end_object().take() + "\n"));
  return 0;
}

}  // namespace cooper::cli::coop
