#include "container/resctrl.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <optional>

#include "base/strings.h"
#include "container/validate_rules.h"
#include "io/file.h"
#include "sys/file.h"

namespace cooper::container {
namespace {

constexpr unsigned long kResctrlMagic = 0x7655821;  // RDTGROUP_SUPER_MAGIC

std::string_view without_zeros(std::string_view number) {
  const std::size_t first = number.find_first_not_of('0');
  return first == std::string_view::npos ? number.substr(number.size() - (number.empty() ? 0 : 1))
                                         : number.substr(first);
}

// "L3:0=ff;1=0f\nMB:0=20" -> {"L3:0": "ff", ...}
std::map<std::string, std::string, std::less<>> domains(std::string_view text) {
  std::map<std::string, std::string, std::less<>> out;
  for (const std::string_view line : split(text, '\n')) {
    const auto resource = split_once(line, ':');
    if (!resource) continue;
    for (const std::string_view domain : split(resource->second, ';')) {
      const auto pair = split_once(domain, '=');
      if (!pair) continue;
      std::string key(trim(resource->first));
      key += ':';
      key += trim(pair->first);
      out.insert_or_assign(std::move(key), std::string(without_zeros(trim(pair->second))));
    }
  }
  return out;
}

Status remove_group(const std::string& path) {
  if (::rmdir(path.c_str()) == 0 || errno == ENOENT) return {};
  const int saved = errno;
  return Error::from_errno(saved, "remove resctrl group " + quoted(path));
}

// One line a write: the kernel refuses a text of several resources as a whole when one of them is wrong, and says in
// info/last_cmd_status why.
Status write_schema(const std::string& root, const std::string& directory, const std::string& line) {
  Status written = io::write_existing(sys::kCwd, directory + "/schemata", line + "\n");
  if (written.ok()) return written;
  const auto why = io::read_file(root + "/info/last_cmd_status", 4096);
  Error error = std::move(written).error().with("intelRdt schema " + quoted(line));
  if (!why.ok() || trim(*why).empty()) return error;
  return std::move(error).with_hint("the kernel says " + quoted(trim(*why)));
}

}  // namespace

Status check_intel_rdt(const oci::IntelRdt& rdt, std::string_view pointer) {
  const std::string base(pointer);
  const std::string& clos = rdt.clos_id;
  if (clos != "/" &&
      (clos.find('/') != std::string::npos || clos == "." || clos == ".." || clos.find('\n') != std::string::npos ||
       clos == "info" || clos == "mon_groups" || clos == "mon_data")) {
    return rules::fail(base + "/closID", quoted(clos) + " is not the name of a class of service");
  }
  for (std::size_t i = 0; i < rdt.schemata.size(); ++i) {
    if (rdt.schemata[i].find('\n') != std::string::npos || rdt.schemata[i].find(':') == std::string::npos)
      return rules::fail(rules::at(base + "/schemata", i, ""), "must be one line of the form RESOURCE:DOMAIN=VALUE");
  }
  // The two older members each are for one resource, so that one cannot undo the other.
  for (const std::string_view line : split(rdt.mem_bw_schema, '\n')) {
    if (!rdt.mem_bw_schema.empty() && !trim(line).empty() && !trim(line).starts_with("MB:"))
      return rules::fail(base + "/memBwSchema", "must begin with 'MB:'");
  }
  for (const std::string_view line : split(rdt.l3_cache_schema, '\n')) {
    if (trim(line).starts_with("MB:")) return rules::fail(base + "/l3CacheSchema", "must not set memory bandwidth");
  }
  return {};
}

ResctrlCreate plan_resctrl(const oci::IntelRdt& rdt, const std::string& id) {
  ResctrlCreate out;
  out.clos_by_config = !rdt.clos_id.empty();
  out.clos = out.clos_by_config ? rdt.clos_id : id;
  out.id = id;
  out.monitor = rdt.enable_monitoring;
  for (const std::string* text : {&rdt.l3_cache_schema, &rdt.mem_bw_schema}) {
    for (const std::string_view line : split(*text, '\n')) {
      if (!trim(line).empty()) out.schemata.emplace_back(trim(line));
    }
  }
  out.must_agree = out.schemata.size();
  for (const std::string& line : rdt.schemata) out.schemata.emplace_back(trim(line));
  return out;
}

bool schemata_agree(std::string_view now, std::string_view wanted) {
  const auto have = domains(now);
  for (const auto& [domain, value] : domains(wanted)) {
    const auto found = have.find(domain);
    if (found == have.end() || found->second != value) return false;
  }
  return true;
}

Result<Resctrl> Resctrl::open() {
  const std::string root(kMountPoint);
  struct statfs info = {};
  if (::statfs(root.c_str(), &info) != 0 || static_cast<unsigned long>(info.f_type) != kResctrlMagic) {
    return Error(Errc::kUnsupported, "intelRdt: no resctrl file system is mounted on " + quoted(root))
        .with_hint("the processor and kernel must have resource control; then: mount -t resctrl resctrl " + root);
  }
  return Resctrl(root, [](const std::string& path) { return sys::mkdirat(sys::kCwd, path, 0755); });
}

ResctrlGroups Resctrl::wanted(const ResctrlCreate& step) const {
  ResctrlGroups out;
  out.class_path = step.clos == "/" ? root_ : root_ + "/" + step.clos;
  out.made_class = step.clos != "/" && !sys::fstatat(sys::kCwd, out.class_path, 0).ok();
  if (!step.monitor) return out;
  out.monitor_path = out.class_path + "/mon_groups/" + step.id;
  out.made_monitor = !sys::fstatat(sys::kCwd, out.monitor_path, 0).ok();
  return out;
}

Result<ResctrlGroups> Resctrl::create(const ResctrlCreate& step) const {
  ResctrlGroups out;
  Status done = set_up(step, out);
  if (done.ok()) return out;
  (void)!remove_resctrl(out).ok();
  return std::move(done).error();
}

Status Resctrl::set_up(const ResctrlCreate& step, ResctrlGroups& out) const {
  out.class_path = step.clos == "/" ? root_ : root_ + "/" + step.clos;
  bool exists = step.clos == "/" || sys::fstatat(sys::kCwd, out.class_path, 0).ok();
  if (!exists && step.clos_by_config && step.schemata.empty()) {
    return Error(Errc::kNotFound, "intelRdt: class of service " + quoted(step.clos) + " does not exist", ENOENT)
        .with_hint("without a schema the class must have been made before");
  }
  if (exists && !step.clos_by_config)
    return Error(Errc::kAlreadyExists, "intelRdt: class of service " + quoted(step.clos) + " exists already", EEXIST);
  if (!exists) {
    Status made = make_(out.class_path);
    if (!made.ok()) {
      const bool full = made.error().errno_value() == ENOSPC;
      Error error = std::move(made).error().with("intelRdt: class of service " + quoted(step.clos));
      if (full) return std::move(error).with_hint("the hardware has no further class of service");
      return error;
    }
    out.made_class = true;
  } else if (step.must_agree != 0) {
    ASSIGN_OR_RETURN(const std::string now, io::read_file(out.class_path + "/schemata", std::size_t{64} << 10));
    for (std::size_t i = 0; i < step.must_agree; ++i) {
      if (schemata_agree(now, step.schemata[i])) continue;
      return Error(Errc::kInvalidArgument, "intelRdt: class of service " + quoted(step.clos) +
                                               " exists with another schema than " + quoted(step.schemata[i]));
    }
  }
  for (std::size_t i = exists ? step.must_agree : 0; i < step.schemata.size(); ++i)
    RETURN_IF_ERROR(write_schema(root_, out.class_path, step.schemata[i]));
  if (!step.monitor) return {};
  out.monitor_path = out.class_path + "/mon_groups/" + step.id;
  Status made = make_(out.monitor_path);
  if (!made.ok()) {
    std::string what = "intelRdt: monitoring group " + quoted(out.monitor_path);
    out.monitor_path.clear();
    return std::move(made).error().with(std::move(what));
  }
  out.made_monitor = true;
  return {};
}

Result<std::vector<std::string>> Resctrl::set_schemata(const ResctrlGroups& groups,
                                                       const std::vector<std::string>& lines) const {
  if (groups.class_path.empty()) {
    return Error(Errc::kUnsupported, "intelRdt: the container was started without a class of service")
        .with_hint("name a schema in /linux/intelRdt of its config.json");
  }
  if (!groups.made_class) {
    return Error(Errc::kUnsupported,
                 "intelRdt: class of service " + quoted(groups.class_path) + " was not made for this container")
        .with_hint("change its schemata file, for all that are in it");
  }
  ASSIGN_OR_RETURN(const std::string now, io::read_file(groups.class_path + "/schemata", std::size_t{64} << 10));
  const auto resource = [](std::string_view line) { return trim(line.substr(0, line.find(':'))); };
  std::vector<std::string> former;
  for (const std::string_view old : split(now, '\n')) {
    const bool changes =
        std::ranges::any_of(lines, [&](const std::string& line) { return resource(line) == resource(old); });
    if (changes && !trim(old).empty()) former.emplace_back(trim(old));
  }
  for (const std::string& line : lines) {
    Status written = write_schema(root_, groups.class_path, line);
    if (written.ok()) continue;
    for (const std::string& old : former) (void)!write_schema(root_, groups.class_path, old).ok();
    return std::move(written).error();
  }
  return former;
}

Status join_resctrl(const ResctrlGroups& groups, pid_t pid) {
  for (const std::string* path : {&groups.class_path, &groups.monitor_path}) {
    if (path->empty()) continue;
    Status joined = io::write_existing(sys::kCwd, *path + "/tasks", std::to_string(pid));
    if (!joined.ok()) return std::move(joined).error().with("join resctrl group " + quoted(*path));
  }
  return {};
}

Status remove_resctrl(const ResctrlGroups& groups) {
  Status monitor = groups.made_monitor ? remove_group(groups.monitor_path) : Status();
  Status clos = groups.made_class ? remove_group(groups.class_path) : Status();
  return monitor.ok() ? std::move(clos) : std::move(monitor);
}

Status remove_unused_resctrl(ResctrlGroups groups) {
  const auto used = [](const std::string& path) {
    const auto tasks = io::read_file(path + "/tasks", std::size_t{1} << 20);
    return tasks.ok() ? !trim(*tasks).empty() : tasks.error().errno_value() != ENOENT;
  };
  // The creator's own child may still be on its way out.
  constexpr int kAttempts = 50;
  constexpr struct timespec kPause = {0, 10'000'000};
  for (int i = 0; i < kAttempts && groups.made_class && used(groups.class_path); ++i)
    (void)::nanosleep(&kPause, nullptr);
  groups.made_monitor = groups.made_monitor && !used(groups.monitor_path);
  groups.made_class = groups.made_class && !used(groups.class_path);
  return remove_resctrl(groups);
}

}  // namespace cooper::container
