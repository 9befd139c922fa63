// Device rules: files on cgroup v1, an eBPF program (BPF_PROG_TYPE_CGROUP_DEVICE, kernel 4.15) on v2.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "cgroup/internal/files.h"
#include "spec/oci_runtime/types.h"

namespace cooper::cgroup {

// Errc::kUnsupported for a rule that denies reading or writing of what another one, in other words, has allowed: v1
// takes back what was allowed in the very same words, and silently nothing else. The writers below ask it first.
Status check_device_denials_v1(const std::vector<oci::DeviceRule>& rules);
// One write per rule to devices.allow or devices.deny, in the given order.
Status write_device_rules_v1(const std::string& directory, const std::vector<oci::DeviceRule>& rules, Base base = {});
// The same for a group with processes in it: only what differs is written, new permissions first, so that no device
// that is allowed before and after is ever refused. On failure what was written is taken back.
Status update_device_rules_v1(const std::string& directory, const std::vector<oci::DeviceRule>& rules);
// The list that the kernel will have ("c 1:3" -> letters of "rwm") after these rules; nullopt when it is not a list of
// exceptions from "nothing is allowed". Pure.
Result<std::optional<std::map<std::string, std::string>>> device_list(const std::vector<oci::DeviceRule>& rules);
// The content of devices.list in the same form.
std::optional<std::map<std::string, std::string>> parse_device_list(std::string_view text);
// What is written for one rule: "a" for everything, else "c 1:3 rwm"; two lines' worth ("b ...", "c ...") for a rule of
// both types that is not everything, because the kernel takes any line with "a" as everything. Errc::kInvalidArgument
// for another type or access.
Result<std::vector<std::string>> device_rule_texts(const oci::DeviceRule& rule);

// Each access (read, write, mknod) is decided by the last rule that names it and the device; a request is granted when
// all it asks for is. What no rule names is refused. Pure.
Result<std::vector<struct bpf_insn>> device_program(const std::vector<oci::DeviceRule>& rules);

// Loads the program and attaches it to the v2 group in place of what this engine (or another runtime) attached there
// before. Needs CAP_BPF or CAP_SYS_ADMIN. The new program is in force before the old one goes.
Status attach_device_filter(BorrowedFd group, const std::vector<oci::DeviceRule>& rules);

}  // namespace cooper::cgroup
