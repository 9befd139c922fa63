#include "container/unit.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "log/log.h"
#include "sys/cred.h"
#include "sys/file.h"

namespace cooper::container {
namespace {

// Sleeps until it is killed, by release() or by the end of its parent. Asynchronous-signal-safe calls only.
[[noreturn]] void hold(pid_t parent) {
  // Nothing of the caller's is kept open: somebody may wait for the end of a pipe, or for a lock.
  (void)!sys::close_range(0, ~0U, 0).ok();
  (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  // Who stops the unit ends it; all other signals are for the container and for us.
  (void)::signal(SIGTERM, SIG_DFL);
  sigset_t blocked;
  (void)::sigfillset(&blocked);
  (void)::sigdelset(&blocked, SIGTERM);
  while (true) (void)::sigsuspend(&blocked);
}

// On cgroup v1 systemd writes the rules of devices anew, by denying all before it allows some: no process may open one
// meanwhile.
Status tell_systemd(dbus::Systemd& systemd, const StateRecord& record, cgroup::Group& group,
                    const std::vector<dbus::Property>& properties) {
  if (group.tree() == cgroup::Tree::kV2) return systemd.set_properties(record.systemd_unit, properties);
  const auto paused = group.frozen();
  const bool hold_still = paused.ok() && !*paused;
  const auto let_go = ScopeExit([&] {
    if (!hold_still) return;
    if (Status thawed = group.thaw(); !thawed.ok()) log::warning(thawed.error().message());
  });
  if (hold_still) {
    if (Status frozen = group.freeze(); !frozen.ok()) log::warning(frozen.error().message());
  }
  RETURN_IF_ERROR(systemd.set_properties(record.systemd_unit, properties));
  // It writes after it has answered, and before it answers anything else.
  if (auto answered = systemd.version(); !answered.ok()) log::warning(answered.error().message());
  return {};
}

}  // namespace

Result<Holder> Holder::create() {
  const pid_t self = ::getpid();
  sigset_t all;
  sigset_t saved;
  (void)::sigfillset(&all);
  (void)::sigprocmask(SIG_SETMASK, &all, &saved);
  auto child = sys::clone3(0);
  if (child.ok() && child->pid == 0) hold(self);
  (void)::sigprocmask(SIG_SETMASK, &saved, nullptr);
  if (!child.ok()) return std::move(child).error();
  return Holder(std::move(*child));
}

void Holder::release() {
  if (pid_ <= 0) return;
  (void)!sys::pidfd_send_signal(pidfd_, SIGKILL).ok();
  (void)!sys::waitpid(pid_).ok();
  pid_ = 0;
}

Result<Unit> Unit::start(const StartUnit& step) {
  ASSIGN_OR_RETURN(auto systemd, dbus::Systemd::connect(step.user_manager ? dbus::Bus::kUser : dbus::Bus::kSystem));
  int version = 0;
  if (cgroup::newest_needed(step.properties) > 0) {
    ASSIGN_OR_RETURN(version, systemd.version());
  }
  std::vector<dbus::Property> properties = cgroup::for_version(step.properties, version);
  Unit out(std::move(systemd), step.name.unit);
  // A slice has no processes of its own to begin with, and does not end without.
  if (!step.name.is_slice()) {
    ASSIGN_OR_RETURN(Holder holder, Holder::create());
    out.holder_ = std::make_unique<Holder>(std::move(holder));
    properties.push_back(
        {"PIDs", dbus::Value::array("u", {dbus::Value::u32(static_cast<std::uint32_t>(out.holder()))})});
  }
  RETURN_IF_ERROR(out.systemd_.start_transient(step.name.unit, properties));
  auto path = out.systemd_.control_group(step.name.unit);
  if (path.ok() && path->empty())
    path = Error(Errc::kSystem, "unit " + quoted(step.name.unit) + " ended before its container began");
  if (!path.ok()) {
    out.release_holder();
    (void)!out.stop().ok();
    return std::move(path).error();
  }
  out.cgroup_path_ = std::move(*path);
  return out;
}

dbus::Bus bus_of(const StateRecord& record) {
  return record.systemd_user ? dbus::Bus::kUser : dbus::Bus::kSystem;
}

Status make_group(const CgroupCreate& step, const cgroup::Layout& layout, cgroup::Policy policy, const Unit* unit,
                  std::optional<cgroup::Group>& out) {
  ASSIGN_OR_RETURN(out, unit != nullptr ? cgroup::Group::adopt(layout, unit->cgroup_path(), policy, unit->holder())
                                        : cgroup::Group::create(layout, step.path, policy));
  RETURN_IF_ERROR(out->apply(step.resources));
  return step.owner ? out->delegate(*step.owner) : Status();
}

void discard_group(Unit* unit, cgroup::Group* group) {
  if (unit != nullptr) unit->release_holder();
  if (group != nullptr) (void)!group->kill_all(SIGKILL).ok();
  if (unit != nullptr) {
    if (Status stopped = unit->stop(); !stopped.ok()) log::warning(stopped.error().message());
  }
  if (group == nullptr) return;
  if (Status removed = group->remove(); !removed.ok()) log::warning("remove cgroup: " + removed.error().message());
}

Result<ResctrlGroups> make_resctrl(const ResctrlCreate& step) {
  ASSIGN_OR_RETURN(const Resctrl resctrl, Resctrl::open());
  return resctrl.create(step);
}

Status remove_group(const StateRecord& record, cgroup::Group& group) {
  if (record.systemd_unit.empty()) return group.remove();
  auto systemd = dbus::Systemd::connect(bus_of(record));
  Status stopped = systemd.ok() ? systemd->stop(record.systemd_unit) : Status(std::move(systemd).error());
  if (!stopped.ok()) log::warning("container " + record.id + ": " + stopped.error().message());
  return group.remove();
}

Status update_group(const StateRecord& record, cgroup::Group& group, const oci::Resources& resources) {
  if (record.systemd_unit.empty()) return group.update(resources);
  ASSIGN_OR_RETURN(oci::Resources whole, group.completed(resources));
  cgroup::round_quota(whole);
  ASSIGN_OR_RETURN(const auto properties, cgroup::resource_properties(whole, group.tree(), cgroup::Occasion::kUpdate));
  if (properties.empty()) return group.update(whole);
  // While there is nobody to tell nothing is changed.
  ASSIGN_OR_RETURN(auto systemd, dbus::Systemd::connect(bus_of(record)));
  int version = 0;
  if (cgroup::newest_needed(properties) > 0) {
    ASSIGN_OR_RETURN(version, systemd.version());
  }
  // The files first: what the kernel refuses is not told to systemd. What systemd refuses is taken back from the files.
  RETURN_IF_ERROR(group.update(
      whole, [&] { return tell_systemd(systemd, record, group, cgroup::for_version(properties, version)); }));
  // It writes what it has been told, some of it less exactly.
  return group.update(whole);
}

}  // namespace cooper::container
