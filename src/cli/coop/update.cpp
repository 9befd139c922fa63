#include <limits>

#include "base/strings.h"
#include "cli/coop/commands.h"
#include "container/plan.h"
#include "container/plan_parts.h"
#include "spec/oci_runtime/parse.h"

namespace cooper::cli::coop {
namespace {

// "512m", "1g", plain bytes, -1 for unlimited. Here and below an empty value is that of a flag which a caller has left
// out.
Result<std::optional<std::int64_t>> size_flag(const Arguments& arguments, std::string_view name) {
  const std::string text = arguments.value(name);
  if (text.empty()) return std::optional<std::int64_t>();
  if (text == "-1") return std::optional<std::int64_t>(-1);
  auto bytes = parse_bytes(text);
  if (!bytes.ok()) return std::move(bytes).error().with("--" + std::string(name));
  if (*bytes > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return Error(Errc::kInvalidArgument, "--" + std::string(name) + ": " + quoted(text) + " is too large");
  }
  return std::optional<std::int64_t>(static_cast<std::int64_t>(*bytes));
}

template <typename T>
Result<std::optional<T>> number_flag(const Arguments& arguments, std::string_view name) {
  if (arguments.value(name).empty()) return std::optional<T>();
  return arguments.number<T>(name);
}

Status read_cpu(const Arguments& arguments, oci::Resources& out) {
  oci::Cpu cpu;
  ASSIGN_OR_RETURN(cpu.shares, number_flag<std::uint64_t>(arguments, "cpu-share"));
  ASSIGN_OR_RETURN(cpu.period, number_flag<std::uint64_t>(arguments, "cpu-period"));
  ASSIGN_OR_RETURN(cpu.quota, number_flag<std::int64_t>(arguments, "cpu-quota"));
  ASSIGN_OR_RETURN(cpu.burst, number_flag<std::uint64_t>(arguments, "cpu-burst"));
  ASSIGN_OR_RETURN(cpu.realtime_period, number_flag<std::uint64_t>(arguments, "cpu-rt-period"));
  ASSIGN_OR_RETURN(cpu.realtime_runtime, number_flag<std::int64_t>(arguments, "cpu-rt-runtime"));
  ASSIGN_OR_RETURN(cpu.idle, number_flag<std::int64_t>(arguments, "cpu-idle"));
  cpu.cpus = arguments.value("cpuset-cpus");
  cpu.mems = arguments.value("cpuset-mems");
  const bool any = cpu.shares || cpu.period || cpu.quota || cpu.burst || cpu.realtime_period || cpu.realtime_runtime ||
                   cpu.idle || !cpu.cpus.empty() || !cpu.mems.empty();
  if (any) out.cpu = std::move(cpu);
  return {};
}

Status read_memory(const Arguments& arguments, oci::Resources& out) {
  oci::Memory memory;
  ASSIGN_OR_RETURN(memory.limit, size_flag(arguments, "memory"));
  ASSIGN_OR_RETURN(memory.reservation, size_flag(arguments, "memory-reservation"));
  ASSIGN_OR_RETURN(memory.swap, size_flag(arguments, "memory-swap"));
  if (memory.limit || memory.reservation || memory.swap) out.memory = memory;
  // Taken for the sake of callers and not applied; a wrong size is a wrong command line all the same.
  for (const char* former : {"kernel-memory", "kernel-memory-tcp"}) {
    if (auto size = size_flag(arguments, former); !size.ok()) return std::move(size).error();
  }
  return {};
}

Result<oci::Resources> resources_from_flags(const Arguments& arguments) {
  oci::Resources out;
  RETURN_IF_ERROR(read_cpu(arguments, out));
  RETURN_IF_ERROR(read_memory(arguments, out));
  ASSIGN_OR_RETURN(out.pids_limit, number_flag<std::int64_t>(arguments, "pids-limit"));
  ASSIGN_OR_RETURN(const auto weight, number_flag<std::uint16_t>(arguments, "blkio-weight"));
  if (weight) out.block_io.emplace().weight = weight;
  return out;
}

// Lines of resctrl's schemata, each flag for its own resources.
Result<std::vector<std::string>> schemata_from_flags(const Arguments& arguments) {
  std::vector<std::string> out;
  for (const bool bandwidth : {false, true}) {
    const std::string name = bandwidth ? "mem-bw-schema" : "l3-cache-schema";
    if (!arguments.has(name)) continue;
    const std::size_t before = out.size();
    const std::string text = arguments.value(name);
    for (const std::string_view line : split(text, '\n')) {
      if (trim(line).empty()) continue;
      if (trim(line).find(':') == std::string_view::npos || trim(line).starts_with("MB:") != bandwidth) {
        return Error(Errc::kInvalidArgument, "--" + name + ": " + quoted(trim(line)) + " is not of the form " +
                                                 (bandwidth ? "MB:DOMAIN=VALUE" : "L3:DOMAIN=MASK"));
      }
      out.emplace_back(trim(line));
    }
    if (out.size() == before) return Error(Errc::kInvalidArgument, "--" + name + ": there is no schema");
  }
  return out;
}

}  // namespace

Result<int> run_update(const Call& call) {
  const Arguments& arguments = call.arguments;
  ASSIGN_OR_RETURN(const auto schemata, schemata_from_flags(arguments));
  oci::Resources resources;
  if (const std::string file = arguments.value("resources"); !file.empty()) {
    ASSIGN_OR_RETURN(std::string text, read_input(file, oci::kMaxConfigBytes, true));
    ASSIGN_OR_RETURN(resources, oci::parse_resources(std::move(text), "resources.json"));
    // As runc, an update does not touch device rules; unless it is asked to, and then they replace those of
    // config.json.
    if (!arguments.flag("devices")) {
      resources.devices.clear();
    } else if (resources.devices.empty()) {
      return Error(Errc::kInvalidArgument, "--devices: there are no device rules in " + quoted(file));
    } else {
      container::complete_device_rules(resources.devices);
    }
  } else if (arguments.flag("devices")) {
    return Error(Errc::kInvalidArgument, "--devices needs the rules in a file").with_hint("use --resources FILE");
  } else {
    ASSIGN_OR_RETURN(resources, resources_from_flags(arguments));
  }
  RETURN_IF_ERROR(container::validate_resources(resources, "resources: "));
  ASSIGN_OR_RETURN(auto container, call.load());
  RETURN_IF_ERROR(container.update(resources, schemata));
  return 0;
}

}  // namespace cooper::cli::coop
