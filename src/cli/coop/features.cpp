// The document of the specification's "features" page: what this build can do, for callers that ask before they use it.
#include "cli/coop/commands.h"
#include "codec/json.h"
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

void write_seccomp(Writer& out) {
  out.key("seccomp").begin_object().field("enabled", true);
  Words actions = seccomp::supported_actions();
  std::erase(actions, "SCMP_ACT_NOTIFY");  // the listener protocol is not there yet
  out.field("actions", actions)
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
      .field("systemd", false)
      .field("systemdUser", false)
      .field("rdma", true)
      .end_object();
  write_seccomp(out);
  write_enabled(out, "apparmor", true);
  write_enabled(out, "selinux", true);
  write_enabled(out, "intelRdt", false);
  out.key("mountExtensions").begin_object();
  write_enabled(out, "idmap", true);
  out.end_object();
  write_enabled(out, "netDevices", false);
  out.end_object();
}

}  // namespace

Result<int> run_features(const Call&) {
  Writer out(Writer::Style::kPretty);
  out.begin_object().field("ociVersionMin", oci::kSpecVersionMin).field("ociVersionMax", oci::kSpecVersion);
  out.field("hooks", Words{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"});
  out.field("mountOptions", mount_options());
  write_linux(out);
  out.key("annotations")
      .begin_object()
      .field("org.cooper.version", COOPER_VERSION)
      .field("org.cooper.checkpoint.enabled", "false")
      .end_object();
  RETURN_IF_ERROR(print(out.end_object().take() + "\n"));
  return 0;
}

}  // namespace cooper::cli::coop
