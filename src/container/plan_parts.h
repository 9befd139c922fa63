// Pieces of make_plan() that fill a file of their own.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "container/plan.h"

namespace cooper::container {

// Makes the group, or its unit, with its limits and owner. Limits must be in force before the first task is inside, and
// a group that cannot be made must fail before anything else is done: these are the first steps.
Status plan_cgroup(Plan& plan, const oci::Config& config, const PlanOptions& options);
// 0 was "no limit" before ociVersion 1.3.0.
bool zero_is_no_pids_limit(const oci::Config& config);

// The network namespace that can be made beside everything else before the clone; known before the rest of the plan.
std::optional<NewNetworkNamespace> plan_network_ahead(const oci::Config& config, const std::optional<Extras>& extras,
                                                      bool rootless);

// One mount of the config. `config` gives the id mappings of an idmap mount without its own.
Result<Mount> plan_mount(const oci::Mount& mount, const oci::Config& config, const PlanOptions& options);
// A read-only tmpfs (/dev, /run ...) still has to take mount points, nodes and the files bound into it: it is made
// read-only by a step of its own, behind all that is planned so far. So is the directory of the hierarchies of cgroup
// v1, which is a tmpfs.
void seal_readonly_mounts(Plan& plan, bool cgroup_v2_only);

// linux.devices plus the nodes every container has, without those a bind mount of /dev makes impossible.
std::vector<CreateDevice> plan_devices(const oci::Config& config, const PlanOptions& options);
// /dev/fd, stdin, stdout, stderr, core, ptmx.
std::vector<CreateSymlink> plan_symlinks();
// The label of files that several containers share: without the categories that keep this one apart.
std::string relabel_to(const std::string& label, bool shared);
// False when the config binds a host directory on /dev: nothing is created in it then.
bool owns_dev(const oci::Config& config);

// A container may use the devices it lists and the ones every container has, nothing else: all is denied first,
// whatever the parent group allows.
void complete_device_rules(std::vector<oci::DeviceRule>& rules);

// Parts of a process, shared by start and exec. Warnings go to `plan`.
SetRlimits plan_rlimits(const oci::Process& process);
SetCredentials plan_credentials(const oci::Process& process, const oci::Config& config, const PlanOptions& options,
                                std::vector<std::string>& warnings);
// Of a new user namespace: whether it maps them.
Status check_ids_are_mapped(const SetCredentials& wanted, const oci::Linux& linux);
SetLabels plan_labels(const oci::Process& process, const PlanOptions& options, std::vector<std::string>& warnings);
Exec plan_exec(const oci::Process& process, const PlanOptions& options);
SetIoPriority plan_io_priority(const oci::IoPriority& io);
// Labels, credentials, seccomp, exec in the order the kernel allows.
void add_last_mile(Plan& plan, const oci::Process& process, const oci::Config& config, const PlanOptions& options);

}  // namespace cooper::container
