// The unit of a container whose cgroup systemd makes.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/fd.h"
#include "cgroup/cgroup.h"
#include "container/container.h"
#include "container/plan.h"
#include "container/resctrl.h"
#include "dbus/systemd.h"
#include "sys/process.h"

namespace cooper::container {

// A child of ours that sleeps until it is let go (or we die). A scope is made around a process and ends with its last
// one: this one is there until the container's init has come.
class Holder {
 public:
  static Result<Holder> create();
  Holder(Holder&& other) noexcept : pid_(std::exchange(other.pid_, 0)), pidfd_(std::move(other.pidfd_)) {}
  Holder& operator=(Holder&&) = delete;
  ~Holder() { release(); }
  pid_t pid() const { return pid_; }
  // It has ended and is reaped when this returns.
  void release();

 private:
  explicit Holder(sys::Cloned child) : pid_(child.pid), pidfd_(std::move(child.pidfd)) {}
  pid_t pid_;
  UniqueFd pidfd_;
};

class Unit {
 public:
  // On failure nothing is left of it.
  static Result<Unit> start(const StartUnit& step);
  // Where its processes are.
  const std::string& cgroup_path() const { return cgroup_path_; }
  pid_t holder() const { return holder_ ? holder_->pid() : 0; }
  void release_holder() { holder_.reset(); }
  Status attach(pid_t pid) { return systemd_.attach(name_, "", {pid}); }
  Status stop() { return systemd_.stop(name_); }

 private:
  Unit(dbus::Systemd systemd, std::string name) : systemd_(std::move(systemd)), name_(std::move(name)) {}
  dbus::Systemd systemd_;
  std::string name_;
  std::string cgroup_path_;
  std::unique_ptr<Holder> holder_;
};

// The group of a new container, that of its unit if there is one. `out` is set as soon as there is anything to remove.
Status make_group(const CgroupCreate& step, const cgroup::Layout& layout, cgroup::Policy policy, const Unit* unit,
                  std::optional<cgroup::Group>& out);
// After a failure: ends what is in them, and removes them. Both may be missing.
void discard_group(Unit* unit, cgroup::Group* group);

// Those of resctrl. On failure nothing is left.
Result<ResctrlGroups> make_resctrl(const ResctrlCreate& step);

// Of an existing container; nothing without a unit.
dbus::Bus bus_of(const StateRecord& record);
// Stops the unit, removes the directories systemd does not know of, and those of a container without a unit. A bus that
// cannot be reached is a warning: a unit without processes ends by itself.
Status remove_group(const StateRecord& record, cgroup::Group& group);
Status update_group(const StateRecord& record, cgroup::Group& group, const oci::Resources& resources);

}  // namespace cooper::container
