// Text and JSON of a plan: one list of fields per step, two ways to print it.
#include <sys/stat.h>

#include "base/chars.h"
#include "base/strings.h"
#include "codec/json.h"
#include "container/mount_options.h"
#include "container/plan.h"
#include "spec/oci_runtime/print.h"
#include "sys/tables.h"

namespace cooper::container {
namespace {

using codec::json::Writer;
using Words = std::vector<std::string>;

// Formatting by hand: a formatting library brings std::locale, a fifth of this program's size, into every start.
std::string padded(std::uint64_t n, std::size_t width, char fill) {
  std::string digits = std::to_string(n);
  if (digits.size() < width) digits.insert(0, width - digits.size(), fill);
  return digits;
}
std::string octal(mode_t mode) {
  std::string out(4, '0');
  for (std::size_t i = 4; i-- > 0; mode >>= 3) out[i] = static_cast<char>('0' + (mode & 7));
  return out;
}
std::string pair(std::uint64_t a, char separator, std::uint64_t b) {
  return std::to_string(a) + separator + std::to_string(b);
}

// What a field may be. `json` is a document of its own.
struct Json {
  std::string text;
};

// ---- the fields of each step: f(name, value) ----
template <typename F>
void fields(const StartUnit& s, F& f) {
  f("unit", s.name.unit);
  f("slice", s.name.slice);
  f("manager", std::string(s.user_manager ? "user" : "system"));
  Words properties;
  for (const cgroup::UnitProperty& p : s.properties) {
    properties.push_back(p.name + "=" + dbus::print_text(p.value));
    if (p.since != 0) properties.back() += " (since systemd " + std::to_string(p.since) + ")";
  }
  f("properties", properties);
}
template <typename F>
void fields(const CgroupCreate& s, F& f) {
  f("path", s.path);
  f("resources", Json{oci::print_resources(s.resources)});
  if (s.owner) f("owner", std::uint64_t{*s.owner});
}
template <typename F>
void fields(const JoinPidNamespace& s, F& f) {
  f("path", s.path);
  if (s.parent) f("parent", true);
}
template <typename F>
void fields(const NewTimeNamespace& s, F& f) {
  for (const auto& [clock, offset] : s.offsets)
    f(clock.c_str(), std::to_string(offset.secs) + "." + padded(offset.nanosecs, 9, '0'));
}
Words namespace_words(std::uint64_t flags) {
  Words out;
  for (const auto& info : sys::namespaces()) {
    if ((flags & static_cast<unsigned>(info.clone_flag)) != 0) out.emplace_back(info.oci_name);
  }
  return out;
}
template <typename F>
void fields(const NewNetworkNamespace& s, F& f) {
  f("loopback", s.loopback);
}
template <typename F>
void fields(const Clone& s, F& f) {
  f("namespaces", namespace_words(s.flags));
  f("into_cgroup", s.into_cgroup);
}
Words mapping_words(const std::vector<oci::IdMapping>& mappings) {
  Words out;
  for (const oci::IdMapping& m : mappings)
    out.push_back(pair(m.container_id, ':', m.host_id) + ":" + std::to_string(m.size));
  return out;
}
template <typename F>
void fields(const WriteIdMaps& s, F& f) {
  f("uid", mapping_words(s.uid));
  f("gid", mapping_words(s.gid));
}
template <typename F>
void fields(const ResctrlCreate& s, F& f) {
  f("clos", s.clos);
  if (!s.schemata.empty()) f("schemata", s.schemata);
  if (s.monitor) f("monitoring_group", s.id);
}
template <typename F>
void fields(const ResctrlJoin&, F&) {}
template <typename F>
void fields(const MoveNetDevices& s, F& f) {
  Words devices;
  for (const auto& [host_name, device] : s.devices)
    devices.push_back(device.name.empty() ? host_name : host_name + "=" + device.name);
  f("devices", devices);
  if (!s.path.empty()) f("path", s.path);
}
Words interface_words(const Interface& s) {
  Words out = {"name=" + s.name};
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) out.push_back(std::string(name) + "=" + value);
  };
  add("host", s.host_name);
  add("bridge", s.bridge);
  if (s.mtu_bytes != 0) add("mtu", std::to_string(s.mtu_bytes));
  if (s.tx_queue_len != 0) add("txqueuelen", std::to_string(s.tx_queue_len));
  if (s.hairpin) out.emplace_back("hairpin");
  return out;
}
template <typename F>
void fields(const CreateInterfaces& s, F& f) {
  for (const Interface& entry : s.interfaces) f(entry.name.c_str(), interface_words(entry));
  if (!s.namespace_path.empty()) f("namespace", s.namespace_path);
}
Words hook_words(const std::vector<oci::Hook>& hooks) {
  Words out;
  for (const oci::Hook& hook : hooks) out.push_back(hook.path);
  return out;
}
template <typename F>
void fields(const RunParentHooks& s, F& f) {
  f("kind", s.kind);
  f("hooks", hook_words(s.hooks));
}
template <typename F>
void fields(const WaitForChild& s, F& f) {
  f("what", s.what);
}
template <typename F>
void fields(const WaitForParent& s, F& f) {
  f("what", s.what);
}
template <typename F>
void fields(const CgroupJoin&, F&) {}
template <typename F>
void fields(const EnterContainer& s, F& f) {
  f("namespaces", namespace_words(static_cast<std::uint64_t>(static_cast<unsigned>(s.namespaces))));
}
template <typename F>
void fields(const BecomeRoot&, F&) {}
template <typename F>
void fields(const JoinNamespace& s, F& f) {
  f("type", s.type);
  f("path", s.path);
}
template <typename F>
void fields(const EnterNetworkNamespace&, F&) {}
template <typename F>
void fields(const NewIpcNamespace&, F&) {}
template <typename F>
void fields(const NewCgroupNamespace&, F&) {}
template <typename F>
void fields(const NewSession&, F&) {}
template <typename F>
void fields(const NewKeyring& s, F& f) {
  f("name", s.name);
  if (!s.label.empty()) f("label", s.label);
}
template <typename F>
void fields(const SetOomScoreAdj& s, F& f) {
  f("value", std::int64_t{s.value});
}
template <typename F>
void fields(const LoopbackUp&, F&) {}
template <typename F>
void fields(const ConfigureInterface& s, F& f) {
  f("name", s.interface.name);
  if (!s.interface.mac.empty()) f("mac", s.interface.mac);
  if (!s.interface.addresses.empty()) f("addresses", s.interface.addresses);
  if (!s.interface.gateways.empty()) f("gateways", s.interface.gateways);
}
template <typename F>
void fields(const AddRoute& s, F& f) {
  f("interface", s.route.interface_name);
  f("destination", s.route.destination.empty() ? std::string("default") : s.route.destination);
  if (!s.route.gateway.empty()) f("gateway", s.route.gateway);
  if (!s.route.source.empty()) f("source", s.route.source);
}
template <typename F>
void fields(const SetSysctl& s, F& f) {
  f("key", s.key);
  f("value", s.value);
}
template <typename F>
void fields(const SetHostname& s, F& f) {
  f("name", s.name);
}
template <typename F>
void fields(const SetDomainname& s, F& f) {
  f("name", s.name);
}
template <typename F>
void fields(const RootPropagation& s, F& f) {
  f("propagation", s.flags == 0 ? std::string("as it is") : propagation_word(s.flags));
}
template <typename F>
void fields(const MountRoot& s, F& f) {
  f("path", s.path);
  if (!s.fstype.empty()) f("fstype", s.fstype);
  Words options;
  for (const auto& [key, value] : s.options) options.push_back(value.empty() ? key : key + "=" + value);
  if (!options.empty()) f("options", options);
  if (!s.wishes.empty()) f("wishes", s.wishes);
  if (s.attributes != 0) f("set", attribute_words(s.attributes));
  if (s.scratch_layers) f("scratch_layers", true);
  if (s.by_parent) f("by", std::string("parent"));
  if (s.id_mapped) {
    f("idmap", s.id_mapped->path);
    f("uid", mapping_words(s.id_mapped->uid));
    f("gid", mapping_words(s.id_mapped->gid));
  }
  if (!s.image) return;
  const io::FilesystemImage& image = s.image->image;
  f("image", image.fstype + " in " + image.file);
  f("image_offset", image.offset);
  f("image_on", s.image->path);
}
std::string mount_kind(const Mount& s) {
  if (s.remount) return "remount";
  switch (s.kind) {
    case MountKind::kBind:
      return s.recursive ? "rbind" : "bind";
    case MountKind::kCgroup:
      return "cgroup";
    case MountKind::kFilesystem:
      break;
  }
  return "filesystem";
}
template <typename F>
void fields(const Mount& s, F& f) {
  const auto words = [&](const char* name, const Words& value) {
    if (!value.empty()) f(name, value);
  };
  f("destination", s.destination);
  f("kind", mount_kind(s));
  if (!s.fstype.empty()) f("fstype", s.fstype);
  if (!s.source.empty()) f("source", s.source);
  words("set", attribute_words(s.attr_set));
  words("clear", attribute_words(s.attr_clear));
  words("set_recursive", attribute_words(s.rec_attr_set));
  words("clear_recursive", attribute_words(s.rec_attr_clear));
  words("superblock", superblock_words(s.superblock_flags));
  words("data", s.data);
  Words propagation;
  for (const std::uint64_t flags : s.propagation) propagation.push_back(propagation_word(flags));
  words("propagation", propagation);
  if (s.copy_up) f("copy_up", true);
  if (s.read_only_later) f("read_only_later", true);
  if (s.idmap) {
    f("idmap", std::string(s.idmap_recursive ? "recursive" : "yes"));
    f("uid", mapping_words(s.uid_mappings));
    f("gid", mapping_words(s.gid_mappings));
  }
  if (s.source_is_dev_fd) f("source_from_parent", true);
  if (s.scratch_layers) f("scratch_layers", true);
}
std::string entry_kind(RootEntry::Kind kind) {
  switch (kind) {
    case RootEntry::Kind::kDirectory:
      return "directory";
    case RootEntry::Kind::kSymlink:
      return "symlink";
    case RootEntry::Kind::kFile:
      return "file";
    case RootEntry::Kind::kData:
      return "data";
    case RootEntry::Kind::kMode:
      break;
  }
  return "mode";
}
template <typename F>
void fields(const MakeEntry& s, F& f) {
  f("path", s.entry.path);
  f("kind", entry_kind(s.entry.kind));
  if (s.entry.kind == RootEntry::Kind::kSymlink) {
    f("target", s.entry.target);
  } else {
    f("mode", octal(s.entry.mode));
  }
  if (s.entry.fd >= 0) f("from_fd", std::int64_t{s.entry.fd});
  if (s.entry.readonly) f("readonly", true);
}
template <typename F>
void fields(const RunMountCommands& s, F& f) {
  f("when", s.when);
  f("destination", s.destination);
  Words commands;
  for (const MountCommand& command : s.commands) commands.push_back(command.path);
  f("commands", commands);
}
template <typename F>
void fields(const Relabel& s, F& f) {
  f("path", s.path);
  f("label", s.label);
}
template <typename F>
void fields(const CreateDevice& s, F& f) {
  f("path", s.path);
  const mode_t type = s.mode & S_IFMT;
  f("type", std::string(type == S_IFBLK ? "block" : type == S_IFIFO ? "fifo" : "char"));
  if (type != S_IFIFO) f("device", pair(s.major, ':', s.minor));
  f("mode", octal(s.mode & 07777));
  if (s.uid != 0 || s.gid != 0) f("owner", pair(s.uid, ':', s.gid));
  if (s.bind) f("bind", true);
}
template <typename F>
void fields(const CreateSymlink& s, F& f) {
  f("path", s.path);
  f("target", s.target);
}
template <typename F>
void fields(const SetupConsole& s, F& f) {
  if (s.height != 0 || s.width != 0) f("size", pair(s.width, 'x', s.height));
  f("uid", std::int64_t{s.uid});
}
template <typename F>
void fields(const RunChildHooks& s, F& f) {
  f("kind", s.kind);
  f("hooks", hook_words(s.hooks));
}
template <typename F>
void fields(const PivotRoot& s, F& f) {
  if (s.no_pivot) f("no_pivot", true);
  if (s.shared_namespace) f("chroot", true);
  if (!s.pivot_dir.empty()) f("pivot_dir", s.pivot_dir);
}
template <typename F>
void fields(const FinalRootPropagation& s, F& f) {
  f("propagation", propagation_word(s.flags));
}
template <typename F>
void fields(const ReadonlyPath& s, F& f) {
  f("path", s.path);
}
template <typename F>
void fields(const MaskPath& s, F& f) {
  f("path", s.path);
}
template <typename F>
void fields(const ReadonlyRoot&, F&) {}
template <typename F>
void fields(const SetScheduler& s, F& f) {
  f("policy", s.scheduler.policy);
  f("nice", std::int64_t{s.scheduler.nice});
  f("priority", std::int64_t{s.scheduler.priority});
  if (!s.scheduler.flags.empty()) f("flags", s.scheduler.flags);
  if (s.scheduler.runtime != 0) {
    f("runtime_ns", s.scheduler.runtime);
    f("deadline_ns", s.scheduler.deadline);
    f("period_ns", s.scheduler.period);
  }
}
template <typename F>
void fields(const SetIoPriority& s, F& f) {
  f("class", std::int64_t{s.io_class});
  f("priority", std::int64_t{s.priority});
}
template <typename F>
void fields(const SetPersonality& s, F& f) {
  f("persona", s.persona);
}
template <typename F>
void fields(const SetMemoryPolicy& s, F& f) {
  f("mode", s.policy.mode);
  if (!s.policy.nodes.empty()) f("nodes", s.policy.nodes);
  if (!s.policy.flags.empty()) f("flags", s.policy.flags);
}
template <typename F>
void fields(const SetAffinity& s, F& f) {
  f("when", s.when);
  f("cpus", s.text);
}
template <typename F>
void fields(const SetCoreScheduling& s, F& f) {
  if (s.share_with != 0) f("share-with", std::int64_t{s.share_with});
}
template <typename F>
void fields(const SetLandlock& s, F& f) {
  Words rules;
  for (const LandlockRule& rule : s.rules) rules.push_back(rule.word + ":" + rule.path);
  f("allow", rules);
}
template <typename F>
void fields(const FindExecutable&, F&) {}
template <typename F>
void fields(const PrepareCwd& s, F& f) {
  if (!s.candidates.empty()) f("first_of", s.candidates);
}
template <typename F>
void fields(const LockFile& s, F& f) {
  f("path", s.path);
}
template <typename F>
void fields(const EnterInnerUserNamespace& s, F& f) {
  if (s.fd >= 0) return f("fd", std::int64_t{s.fd});
  f("uid", std::int64_t{s.uid});
  f("gid", std::int64_t{s.gid});
}
template <typename F>
void fields(const SetRlimits& s, F& f) {
  Words limits;
  const auto number = [](std::uint64_t n) {
    return n == ~std::uint64_t{0} ? std::string("unlimited") : std::to_string(n);
  };
  for (const auto& [resource, value] : s.limits) {
    limits.push_back(std::string(sys::rlimit_name(resource)) + "=" + number(value.first) + ":" + number(value.second));
  }
  f("limits", limits);
}
template <typename F>
void fields(const SetLabels& s, F& f) {
  if (!s.apparmor.empty()) f("apparmor", s.apparmor);
  if (!s.selinux.empty()) f("selinux", s.selinux);
}
Words capability_words(std::uint64_t mask) {
  Words out;
  const auto names = sys::capability_names();
  for (std::size_t i = 0; i < names.size(); ++i) {
    if ((mask >> i & 1) != 0) out.emplace_back(names[i]);
  }
  return out;
}
template <typename F>
void fields(const SetCredentials& s, F& f) {
  f("uid", std::int64_t{s.uid});
  f("gid", std::int64_t{s.gid});
  if (s.set_groups) {
    Words groups;
    for (const gid_t gid : s.groups) groups.push_back(std::to_string(gid));
    f("groups", groups);
  }
  f("umask", octal(s.umask));
  if (s.has_capabilities) {
    f("bounding", capability_words(s.bounding));
    f("effective", capability_words(s.effective));
    f("permitted", capability_words(s.permitted));
    f("inheritable", capability_words(s.inheritable));
    f("ambient", capability_words(s.ambient));
  }
  f("no_new_privileges", s.no_new_privileges);
}
template <typename F>
void fields(const LoadSeccomp& s, F& f) {
  if (!s.filter.empty()) f("filter_bytes", std::uint64_t{s.filter.size()});
  if (!s.profile) return;
  f("default_action", s.profile->default_action);
  std::size_t names = 0;
  for (const auto& rule : s.profile->syscalls) names += rule.names.size();
  f("rules", std::uint64_t{s.profile->syscalls.size()});
  f("names", std::uint64_t{names});
  if (!s.profile->architectures.empty()) f("architectures", s.profile->architectures);
  if (!s.profile->flags.empty()) f("flags", s.profile->flags);
  if (!s.profile->listener_path.empty()) f("listener", s.profile->listener_path);
}
template <typename F>
void fields(const Exec& s, F& f) {
  f("args", s.args);
  f("env", s.env);
  f("cwd", s.cwd);
  if (s.init) f("init", true);
}

// ---- the two printers ----
struct JsonFields {
  Writer& out;
  void operator()(const char* name, const std::string& value) { out.field(name, value); }
  void operator()(const char* name, const Words& value) { out.field(name, value); }
  void operator()(const char* name, bool value) { out.field(name, value); }
  void operator()(const char* name, std::int64_t value) { out.field(name, value); }
  void operator()(const char* name, std::uint64_t value) { out.field(name, value); }
  void operator()(const char* name, const Json& value) {
    const auto document = codec::json::Document::parse(value.text, name);
    out.key(name);
    if (document.ok()) {
      out.value(document->root());
    } else {
      out.null();
    }
  }
};

bool is_plain(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    const bool plain = is_alnum(c) || std::string_view("/_.-+:=@%").find(c) != std::string_view::npos;
    if (!plain) return false;
  }
  return true;
}

struct TextFields {
  std::string& out;
  static std::string word(const std::string& text) { return is_plain(text) ? text : quoted(text); }
  void raw(const char* name, std::string_view value) {
    out += ' ';
    out += name;
    out += '=';
    out += value;
  }
  void operator()(const char* name, const std::string& value) { raw(name, word(value)); }
  void operator()(const char* name, bool value) { raw(name, value ? "true" : "false"); }
  void operator()(const char* name, std::int64_t value) { raw(name, std::to_string(value)); }
  void operator()(const char* name, std::uint64_t value) { raw(name, std::to_string(value)); }
  void operator()(const char* name, const Json& value) { raw(name, value.text); }
  void operator()(const char* name, const Words& value) {
    std::string joined;
    for (const std::string& element : value) {
      if (!joined.empty()) joined += ',';
      joined += word(element);
    }
    raw(name, joined.empty() ? "-" : joined);
  }
};

// In the order of StepBody's alternatives.
constexpr std::string_view kNames[] = {"start-unit",
                                       "cgroup-create",
                                       "join-pid-namespace",
                                       "new-time-namespace",
                                       "new-network-namespace",
                                       "clone",
                                       "write-id-maps",
                                       "resctrl-create",
                                       "resctrl-join",
                                       "move-net-devices",
                                       "create-interfaces",
                                       "run-hooks",
                                       "wait-for-child",
                                       "wait-for-parent",
                                       "cgroup-join",
                                       "enter-container",
                                       "become-root",
                                       "join-namespace",
                                       "enter-network-namespace",
                                       "new-ipc-namespace",
                                       "new-cgroup-namespace",
                                       "new-session",
                                       "new-keyring",
                                       "set-oom-score-adj",
                                       "loopback-up",
                                       "configure-interface",
                                       "add-route",
                                       "set-sysctl",
                                       "set-hostname",
                                       "set-domainname",
                                       "root-propagation",
                                       "mount-root",
                                       "mount",
                                       "make-entry",
                                       "run-mount-commands",
                                       "relabel",
                                       "create-device",
                                       "create-symlink",
                                       "setup-console",
                                       "run-hooks",
                                       "pivot-root",
                                       "final-root-propagation",
                                       "readonly-path",
                                       "mask-path",
                                       "readonly-root",
                                       "set-scheduler",
                                       "set-io-priority",
                                       "set-personality",
                                       "set-memory-policy",
                                       "set-affinity",
                                       "set-core-scheduling",
                                       "set-landlock",
                                       "find-executable",
                                       "prepare-cwd",
                                       "lock-file",
                                       "enter-inner-user-namespace",
                                       "set-rlimits",
                                       "set-labels",
                                       "set-credentials",
                                       "load-seccomp",
                                       "exec"};
static_assert(std::size(kNames) == std::variant_size_v<StepBody>);

std::string_view actor_name(Actor actor) {
  return actor == Actor::kParent ? "parent" : "child";
}

}  // namespace

std::string_view step_name(const StepBody& body) {
  return kNames[body.index()];
}

std::string print_text(const Plan& plan) {
  std::string out;
  std::size_t number = 0;
  for (const Step& step : plan.steps) {
    out += padded(++number, 3, ' ');
    out += step.actor == Actor::kParent ? " parent " : " child  ";
    out += step_name(step.body);
    TextFields printer{out};
    std::visit([&](const auto& body) { fields(body, printer); }, step.body);
    out += '\n';
  }
  for (const std::string& warning : plan.warnings) out += "warning: " + warning + "\n";
  for (const std::string& note : plan.notes) out += "note: " + note + "\n";
  return out;
}

std::string print_json(const Plan& plan) {
  Writer out(Writer::Style::kPretty);
  out.begin_object().field("id", plan.id);
  out.key("steps").begin_array();
  for (const Step& step : plan.steps) {
    out.begin_object().field("actor", actor_name(step.actor)).field("step", step_name(step.body));
    JsonFields printer{out};
    std::visit([&](const auto& body) { fields(body, printer); }, step.body);
    out.end_object();
  }
  out.end_array();
  out.field("warnings", plan.warnings);
  out.field("notes", plan.notes);
  return out.end_object().take() + "\n";
}

}  // namespace cooper::container
