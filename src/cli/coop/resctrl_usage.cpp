#include "cli/coop/resctrl_usage.h"

#include <fcntl.h>

#include <algorithm>

#include "base/strings.h"
#include "io/file.h"
#include "sys/file.h"

namespace cooper::cli::coop {
namespace {

constexpr std::size_t kMost = std::size_t{64} << 10;

std::string text_of(const std::string& path) {
  const auto text = io::read_file(path, kMost);
  return text.ok() ? std::string(trim(*text)) : std::string();
}

// "Unavailable" and "Error" are no numbers.
std::optional<std::uint64_t> counter(const std::string& path) {
  return parse_number<std::uint64_t>(text_of(path));
}

bool exists(const std::string& path) {
  return sys::fstatat(sys::kCwd, path).ok();
}

// The line of a resource; with code and data apart (CDP) the first of the two.
std::string line_of(const std::string& schemata, std::string_view resource) {
  for (const std::string_view line : split(schemata, '\n')) {
    if (trim(line).starts_with(resource)) return std::string(trim(line));
  }
  return {};
}

std::vector<std::string> domains(const std::string& monitored) {
  const auto directory = sys::openat(sys::kCwd, monitored, O_RDONLY | O_DIRECTORY);
  if (!directory.ok()) return {};
  std::vector<std::string> names = sys::list_directory(*directory).value_or({});
  std::erase_if(names, [](const std::string& name) { return !name.starts_with("mon_L3_"); });
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

ResctrlUsage read_resctrl_usage(const std::string& root, const container::ResctrlGroups& groups) {
  ResctrlUsage out;
  if (groups.class_path.empty()) return out;
  const auto number = [&](const char* file) { return counter(root + "/info/" + file).value_or(0); };
  const std::string of_root = text_of(root + "/schemata");
  const std::string own = text_of(groups.class_path + "/schemata");
  for (const std::string level : {"L3", "L3CODE"}) {
    const std::string info = root + "/info/" + level;
    if (out.cache || !exists(info)) continue;
    out.cache = {text_of(info + "/cbm_mask"), counter(info + "/min_cbm_bits").value_or(0),
                 counter(info + "/num_closids").value_or(0)};
    out.cache_of_root = line_of(of_root, "L3");
    out.cache_schema = line_of(own, "L3");
  }
  if (exists(root + "/info/MB")) {
    out.bandwidth = {number("MB/bandwidth_gran"), number("MB/delay_linear"), number("MB/min_bandwidth"),
                     number("MB/num_closids")};
    out.bandwidth_of_root = line_of(of_root, "MB:");
    out.bandwidth_schema = line_of(own, "MB:");
  }
  const std::string monitored = (groups.monitor_path.empty() ? groups.class_path : groups.monitor_path) + "/mon_data";
  for (const std::string& name : domains(monitored)) {
    const std::string domain = monitored + "/" + name;
    const auto total = counter(domain + "/mbm_total_bytes");
    const auto local = counter(domain + "/mbm_local_bytes");
    if (total || local) out.traffic.push_back({total.value_or(0), local.value_or(0)});
    if (const auto bytes = counter(domain + "/llc_occupancy")) out.occupancy_bytes.push_back(*bytes);
  }
  return out;
}

}  // namespace cooper::cli::coop
