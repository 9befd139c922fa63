// Group::apply and Group::update: settings to files.
#include <algorithm>
#include <set>

#include "base/strings.h"
#include "cgroup/cgroup.h"
#include "cgroup/internal/device_filter.h"
#include "cgroup/internal/files.h"
#include "cgroup/internal/realtime.h"
#include "cgroup/internal/settings.h"
#include "cgroup/internal/subtree.h"
#include "log/log.h"
#include "sys/file.h"

namespace cooper::cgroup {
namespace {

Error missing_controller(const Setting& setting, const std::string& why = "is not available") {
  return Error(Errc::kUnsupported,
               "cannot set " + quoted(setting.file) + " to " + quoted(setting.value) + ": cgroup controller " +
                   quoted(setting.controller) + " " + why,
               ENOENT)
      .with_hint("remove the limit or enable the controller");
}

Status write_back(const Undo& step) {
  Status written = write_control(step.path, step.value);
  if (written.ok() || step.other_value.empty() || written.error().errno_value() != ENOSPC) return written;
  return write_control(step.path, step.other_value);
}

// Last first. What depends on values that come back later is tried again after them.
void take_back(const std::vector<Undo>& undo) {
  std::vector<const Undo*> again;
  for (auto step = undo.rbegin(); step != undo.rend(); ++step) {
    if (!write_back(*step).ok()) again.push_back(&*step);
  }
  for (const Undo* step : again) {
    if (Status back = write_back(*step); !back.ok()) log::debug("update not taken back: " + back.error().message());
  }
}

// Writes a part of a realtime budget that the kernel has refused once more, with room made in the groups above it.
Status write_realtime(const std::string& mount_point, const std::string& directory, const Setting& setting,
                      std::vector<Undo>* undo) {
  std::vector<Undo> above;
  Status done = make_room_for_realtime(mount_point, directory, setting, above);
  if (done.ok()) done = write_control(directory + "/" + setting.file, setting.value);
  if (!done.ok()) {
    take_back(above);
  } else if (undo != nullptr && !undo->empty()) {
    // Below that of the group itself, which has to shrink first.
    undo->insert(undo->end() - 1, above.begin(), above.end());
  }
  return done;
}

// What brings back the weight, which the kernel forgets when it makes a group idle.
void remember_weight(const std::string& directory, const char* file, std::vector<Undo>& undo) {
  const std::string path = directory + "/" + file;
  if (auto weight = read_value(path); weight.ok()) undo.push_back({path, std::move(*weight)});
}

// Values the kernel keeps in whole pages read back smaller than they were written.
bool same_memory(const Setting& setting, std::string_view text) {
  if (setting.controller != "memory" || !setting.file.ends_with("in_bytes")) return false;
  const auto old_bytes = parse_number<std::int64_t>(trim(text));
  const auto new_bytes = parse_number<std::int64_t>(setting.value);
  if (!old_bytes || !new_bytes) return false;
  const std::int64_t page = ::sysconf(_SC_PAGESIZE);
  const std::int64_t unlimited = INT64_MAX / page * page;
  return *old_bytes == (*new_bytes < 0 ? unlimited : *new_bytes / page * page);
}

// The kernel does not say what it compared a limit of memory with.
Error explain_memory_v1(Error refused, const Setting& setting, const std::string& directory) {
  const bool sum = setting.file == "memory.memsw.limit_in_bytes";
  const auto wanted = parse_number<std::uint64_t>(setting.value);
  if ((!sum && setting.file != "memory.limit_in_bytes") || !wanted) return refused;
  const auto number = [&](const std::string& file) {
    const auto text = read_value(directory + "/" + file);
    return text.ok() ? parse_number<std::uint64_t>(*text) : std::nullopt;
  };
  const std::string limit =
      std::string(sum ? "limit of memory and swap" : "memory limit") + " of " + format_bytes_exactly(*wanted);
  if (refused.errno_value() == EBUSY) {
    const auto used = number(sum ? "memory.memsw.usage_in_bytes" : "memory.usage_in_bytes");
    if (!used) return refused;
    return Error(Errc::kBusy,
                 "cannot set a " + limit + ": " + format_bytes_exactly(*used) +
                     " are in use, and the kernel could not free enough of it",
                 EBUSY)
        .with_hint("choose a limit above what is used, or end processes of the container first");
  }
  const auto other = number(sum ? "memory.limit_in_bytes" : "memory.memsw.limit_in_bytes");
  if (refused.errno_value() != EINVAL || !other || (sum ? *wanted >= *other : *wanted <= *other)) return refused;
  return Error(Errc::kInvalidArgument,
               "cannot set a " + limit + ": the " + (sum ? "memory limit" : "limit of memory and swap") + " is " +
                   format_bytes_exactly(*other) + ", and memory and swap together cannot have less than memory",
               EINVAL)
      .with_hint("change both limits in one call");
}

// Those systemd does not hand out.
bool needs_other_controllers(const oci::Resources& resources) {
  if (!resources.hugepage_limits.empty() || !resources.rdma.empty()) return true;
  return std::any_of(resources.unified.begin(), resources.unified.end(), [](const auto& entry) {
    return entry.first.starts_with("hugetlb.") || entry.first.starts_with("rdma.") || entry.first.starts_with("misc.");
  });
}

}  // namespace

std::vector<std::string> limited_controllers(oci::Resources resources) {
  std::set<std::string> names;
  for (const auto& [file, value] : resources.unified) names.insert(file.substr(0, file.find('.')));
  resources.unified.clear();
  if (const auto settings = settings_v1(resources); settings.ok()) {
    for (const Setting& setting : *settings) {
      if (setting.value != "max" && setting.value != "-1") names.insert(setting.controller);
    }
  }
  return {names.begin(), names.end()};
}

// One file. With `undo`, a value that is already there is not written, and the old one is remembered.
Status Group::write_setting(const Setting& setting, std::vector<Undo>* undo) {
  const Dir* dir = pure_v2() ? v2_dir() : find(setting.controller);
  if (dir == nullptr) {
    if (setting.missing == Setting::Missing::kError) return missing_controller(setting);
    return {};
  }
  const std::string path = dir->directory + "/" + setting.file;
  if (undo != nullptr) {
    if (auto old_text = read_control(path); old_text.ok()) {
      if (is_current(setting, *old_text) || same_memory(setting, *old_text)) return {};
      if (setting.file == "cpu.idle" && trim(*old_text) == "0")
        remember_weight(dir->directory, pure_v2() ? "cpu.weight" : "cpu.shares", *undo);
      undo->push_back({path, undo_value(setting, *old_text)});
      // Processes keep some processors and nodes: all those that an empty list meant.
      if (setting.controller == "cpuset" && trim(*old_text).empty())
        undo->back().other_value = read_value(path + ".effective").value_or("");
    }
  }
  Status written = write_control(path, setting.value, Base(base_));
  if (written.ok()) return written;
  const bool refused = written.error().errno_value() == EINVAL;
  if (refused && setting.file.starts_with("cpu.rt_") && !setting.retry_last &&
      write_realtime(dir->hierarchy.mount_point, dir->directory, setting, undo).ok())
    return {};
  if (refused && setting.moot_when_idle && read_value(dir->directory + "/cpu.idle").value_or("") == "1") return {};
  if (written.error().errno_value() != ENOENT)
    return explain_memory_v1(std::move(written).error(), setting, dir->directory);
  if (!setting.other_file.empty()) {
    Setting other = setting;
    other.file = setting.other_file;
    other.value = setting.other_value;
    other.other_file.clear();
    return write_setting(other, undo);
  }
  switch (setting.missing) {
    case Setting::Missing::kIgnore:
      return {};
    case Setting::Missing::kWarn:
      log::warning("limit not set: " + written.error().message());
      return {};
    case Setting::Missing::kError:
      break;
  }
  if (pure_v2()) {
    const std::string why = why_missing(dir->hierarchy, path_, setting.controller);
    if (!why.empty()) return missing_controller(setting, why);
  }
  return std::move(written).error().with_code(Errc::kUnsupported).with("this kernel has no " + quoted(setting.file));
}

Status Group::write_settings(std::vector<Setting> settings, std::vector<Undo>* undo) {
  std::vector<Setting> later;
  const auto write = [&](const Setting& setting) -> Status {
    Status written = write_setting(setting, undo);
    if (written.ok() || policy_ == Policy::kRequired) return written;
    // Without privileges limits are granted as far as the host delegated them.
    if (!is_permission(written.error().errno_value()) && written.error().code() != Errc::kUnsupported) return written;
    log::warning("limit not set: " + written.error().message());
    return {};
  };
  for (Setting& setting : settings) {
    Status written = write(setting);
    if (!written.ok() && setting.retry_last && written.error().errno_value() == EINVAL) {
      later.push_back(std::move(setting));
    } else if (!written.ok()) {
      return written;
    }
  }
  for (Setting& setting : later) {
    setting.retry_last = false;
    RETURN_IF_ERROR(write(setting));
  }
  return {};
}

Status Group::write_devices(const std::vector<oci::DeviceRule>& rules) {
  if (rules.empty()) return {};
  Status done;
  if (pure_v2()) {
    const Dir* dir = v2_dir();
    if (dir == nullptr) return {};
    ASSIGN_OR_RETURN(const UniqueFd fd, Base(base_).openat(dir->directory, O_RDONLY | O_DIRECTORY));
    done = attach_device_filter(fd, rules);
  } else if (const Dir* dir = find("devices"); dir != nullptr) {
    done = write_device_rules_v1(dir->directory, rules, Base(base_));
  } else {
    // Nothing to enforce with; rules that only allow are fulfilled.
    const bool denies =
        std::any_of(rules.begin(), rules.end(), [](const oci::DeviceRule& rule) { return !rule.allow; });
    if (denies)
      done = Error(Errc::kUnsupported, "device rules need the cgroup controller 'devices', which is not available",
                   ENOENT);
  }
  if (done.ok() || policy_ == Policy::kRequired) return done;
  if (!is_permission(done.error().errno_value()) && done.error().code() != Errc::kUnsupported) return done;
  log::debug("device rules not set: " + done.error().message());
  return {};
}

Status Group::apply(const oci::Resources& resources) {
  ASSIGN_OR_RETURN(auto settings, pure_v2() ? settings_v2(resources) : settings_v1(resources));
  if (pure_v2() && maker_ == Maker::kSystemd && needs_other_controllers(resources))
    RETURN_IF_ERROR(enable_controllers(v2_dir()->hierarchy, path_));
  if (pure_v2()) births_refused_ = resources.pids_limit == 0;
  const Dir* memory = pure_v2() ? nullptr : find("memory");
  // A group that was there before may have limits; memory and memory+swap then depend on the old values.
  if (memory != nullptr && !memory->created) {
    std::vector<Undo> ignored;
    RETURN_IF_ERROR(order_memory(settings));
    RETURN_IF_ERROR(write_settings(std::move(settings), &ignored));
  } else {
    RETURN_IF_ERROR(write_settings(std::move(settings), nullptr));
  }
  return write_devices(resources.devices);
}

Status Group::order_memory(std::vector<Setting>& settings) const {
  const Dir* dir = find("memory");
  if (dir == nullptr) return {};
  const auto sum = std::find_if(settings.begin(), settings.end(),
                                [](const Setting& s) { return s.file == "memory.memsw.limit_in_bytes"; });
  if (sum == settings.end()) return {};
  auto current = read_control(dir->directory + "/memory.memsw.limit_in_bytes");
  if (!current.ok()) return {};  // no swap accounting: the write itself decides
  order_memory_v1(settings, parse_number<std::int64_t>(trim(*current)).value_or(-1));
  return {};
}

// Refuses a limit below what is in use, which would call the OOM killer.
Status Group::check_before_update(const oci::Memory& memory) const {
  if (!memory.check_before_update.value_or(false) || memory.limit.value_or(0) <= 0) return {};
  const Dir* dir = pure_v2() ? v2_dir() : find("memory");
  if (dir == nullptr) return {};
  ASSIGN_OR_RETURN(const std::string text,
                   read_control(dir->directory + (pure_v2() ? "/memory.current" : "/memory.usage_in_bytes")));
  const auto usage = parse_number<std::int64_t>(trim(text)).value_or(0);
  if (*memory.limit > usage) return {};
  return Error(Errc::kBusy,
               "rejecting memory limit " + std::to_string(*memory.limit) + " because of usage " + std::to_string(usage),
               EBUSY);
}

// The settings of an update on v2, where one file may hold two values: what the update does not name stays.
Result<std::vector<Setting>> Group::update_settings_v2(oci::Resources resources) const {
  const Dir* dir = v2_dir();
  const auto current = [&](const char* file) {
    return dir == nullptr ? std::string() : read_value(dir->directory + "/" + file).value_or("");
  };
  if (resources.memory && !resources.memory->limit && resources.memory->swap.value_or(0) > 0)
    resources.memory->limit = parse_number<std::int64_t>(current("memory.max"));
  ASSIGN_OR_RETURN(auto settings, settings_v2(resources));
  for (Setting& setting : settings) {
    if (setting.keep_first) setting.value = completed_value(setting, current(setting.file.c_str()));
  }
  return settings;
}

Status Group::check_devices(const std::vector<oci::DeviceRule>& rules) const {
  if (pure_v2()) {
    auto program = device_program(rules);
    return program.ok() ? Status() : std::move(program).error();
  }
  RETURN_IF_ERROR(check_device_denials_v1(rules));
  auto list = device_list(rules);
  return list.ok() ? Status() : std::move(list).error();
}

Status Group::update_devices(const std::vector<oci::DeviceRule>& rules) {
  const Dir* dir = pure_v2() || rules.empty() ? nullptr : find("devices");
  return dir == nullptr ? write_devices(rules) : update_device_rules_v1(dir->directory, rules);
}

Status Group::update(const oci::Resources& resources, const std::function<Status()>& confirm) {
  ASSIGN_OR_RETURN(auto settings, pure_v2() ? update_settings_v2(resources) : settings_v1(resources));
  if (resources.memory) RETURN_IF_ERROR(check_before_update(*resources.memory));
  RETURN_IF_ERROR(check_devices(resources.devices));
  if (!pure_v2()) RETURN_IF_ERROR(order_memory(settings));
  std::vector<Undo> undo;
  Status done = write_settings(std::move(settings), &undo);
  if (done.ok() && confirm) done = confirm();
  if (done.ok()) done = update_devices(resources.devices);
  if (!done.ok()) take_back(undo);
  return done;
}

}  // namespace cooper::cgroup
