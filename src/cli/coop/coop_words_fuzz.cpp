// The words of a command line of coop, and the kernel's text about interfaces, as arbitrary bytes.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/strings.h"
#include "cli/coop/arguments.h"
#include "cli/coop/commands.h"
#include "cli/coop/sandbox_config.h"
#include "cli/coop/sandbox_options.h"
#include "cli/coop/usage_json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cooper;             // NOLINT(google-build-using-namespace)
  using namespace cooper::cli::coop;  // NOLINT(google-build-using-namespace)
  std::string text(reinterpret_cast<const char*>(data), size);
  (void)parse_interfaces(text);
  if (const auto interval = parse_interval(text); interval.ok() && *interval < 1) std::abort();
  (void)parse_bytes(text).ok();
  if (const auto id = ContainerId::parse(text); id.ok() && id->str().find('/') != std::string::npos) std::abort();
  oci::User user;
  if (set_user(user, text).ok() && (user.uid == 0xffffffffU || user.gid == 0xffffffffU)) std::abort();
  // One word a line; every command's flags.
  std::vector<char*> words;
  std::vector<std::string> lines;
  for (const std::string_view line : split(text, '\n')) lines.emplace_back(line.substr(0, line.find('\0')));
  for (std::string& line : lines) words.push_back(line.data());
  if (const auto groups = parse_sub_cgroups(lines); groups.ok()) {
    for (const auto& [controller, path] : *groups) {
      // Of a controller that is named it is the container's own.
      if ((path.empty() && controller.empty()) || ("/" + path + "/").find("/../") != std::string::npos) std::abort();
    }
  }
  if (const auto limit = parse_seconds(text, "time-limit"); limit.ok() && limit->count() < 0) std::abort();
  SandboxQuestions questions;
  questions.read = [&](int) { return std::string(text); };
  questions.is_open = [](int fd) { return fd < 16; };
  if (const auto given = Arguments::parse(words, sandbox_flags(), Arguments::Stop::kFirstArgument); given.ok()) {
    if (const auto options = parse_sandbox(*given, sandbox_flags(), questions); options.ok()) {
      SandboxHost host;
      host.working_directory = "/";
      host.look = [](const std::string&) { return 0; };
      host.resolve = [](const std::string& path) { return path; };
      (void)make_sandbox(*options, given->positional(), host).ok();
    }
  }
  for (const Command& command : commands()) {
    const auto arguments = Arguments::parse(words, command.flags, command.stop);
    if (!arguments.ok()) continue;
    for (const Flag& flag : command.flags) {
      (void)arguments->flag(flag.name);
      (void)arguments->number<std::int64_t>(flag.name).ok();
    }
  }
  return 0;
}
