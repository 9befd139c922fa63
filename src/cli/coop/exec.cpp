#include <signal.h>

#include <array>

#include "base/strings.h"
#include "cli/coop/commands.h"
#include "cli/coop/supervise.h"
#include "container/seal_exe.h"
#include "log/log.h"
#include "spec/oci_runtime/parse.h"

namespace cooper::cli::coop {
// UID[:GID], plain decimal numbers only: anything looser has given a wrong user before (CVE-2026-30892).
Status set_user(oci::User& user, std::string_view text) {
  const auto bad = [&]() -> Status {
    return Error(Errc::kInvalidArgument,
                 "--user " + quoted(text) + " must be UID or UID:GID, numbers from 0 to 4294967294");
  };
  const auto parse = [](std::string_view number) -> std::optional<std::uint32_t> {
    if (number.empty() || number.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
    const auto id = parse_number<std::uint32_t>(number);
    return id && *id != 0xffffffffU ? id : std::nullopt;
  };
  const auto pair = split_once(text, ':');
  const auto uid = parse(pair ? pair->first : text);
  if (!uid) return bad();
  if (pair) {
    const auto gid = parse(pair->second);
    if (!gid) return bad();
    user.gid = *gid;
  }
  user.uid = *uid;
  return {};
}

namespace {

Status add_groups(oci::User& user, const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    const auto gid = parse_number<std::uint32_t>(text);
    if (!gid) return Error(Errc::kInvalidArgument, "--additional-gids " + quoted(text) + " must be a group number");
    user.additional_gids.push_back(*gid);
  }
  return {};
}

// Never the inheritable set (CVE-2022-29162).
void add_capabilities(oci::Process& process, const std::vector<std::string>& names) {
  if (names.empty()) return;
  if (!process.capabilities) process.capabilities.emplace();
  for (const std::string& name : names) {
    for (auto* set :
         {&process.capabilities->bounding, &process.capabilities->effective, &process.capabilities->permitted})
      set->push_back(name);
  }
}

// The container's own process with what the flags change.
Result<oci::Process> process_from_flags(const Call& call, oci::Process process) {
  const Arguments& arguments = call.arguments;
  const auto& words = arguments.positional();
  if (words.size() < 2) return Error(Errc::kInvalidArgument, "exec needs a command, or --process FILE");
  process.args.assign(words.begin() + 1, words.end());
  process.terminal = arguments.flag("tty");
  // Empty values are those of flags that a caller has left out.
  if (!arguments.value("cwd").empty()) process.cwd = arguments.value("cwd");
  for (std::string& entry : arguments.list("env")) process.env.push_back(std::move(entry));
  if (!arguments.value("user").empty()) RETURN_IF_ERROR(set_user(process.user, arguments.value("user")));
  RETURN_IF_ERROR(add_groups(process.user, arguments.list("additional-gids")));
  if (arguments.has("process-label")) process.selinux_label = arguments.value("process-label");
  if (arguments.has("apparmor")) process.apparmor_profile = arguments.value("apparmor");
  if (arguments.has("no-new-privs")) process.no_new_privileges = arguments.flag("no-new-privs");
  add_capabilities(process, arguments.list("cap"));
  return process;
}

// What no flag is for comes from the container's configuration.
std::string name_flag(std::string_view member) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kFlags{
      {{"/args", "COMMAND"},
       {"/cwd", "--cwd"},
       {"/env/", "--env"},
       {"/user/additionalGids/", "--additional-gids"},
       {"/apparmorProfile", "--apparmor"}}};
  for (const auto& [prefix, flag] : kFlags) {
    if (member.starts_with(prefix)) return std::string(flag);
  }
  return "/process" + std::string(member);
}

// What a file does not say of its process' confinement is the container's, as with runc and crun; and so is, as with
// runc, how soon the process goes when memory is short, which would be the caller's.
void complete_confinement(oci::Process& process, oci::Process&& container) {
  if (!process.capabilities) process.capabilities = std::move(container.capabilities);
  if (process.apparmor_profile.empty()) process.apparmor_profile = std::move(container.apparmor_profile);
  if (process.selinux_label.empty()) process.selinux_label = std::move(container.selinux_label);
  if (!process.oom_score_adj) process.oom_score_adj = container.oom_score_adj;
}

// Takes the process out of the configuration.
Status read_process(const Call& call, Result<oci::Config>& config, container::ExecOptions& out) {
  if (const std::string file = call.arguments.value("process"); !file.empty()) {
    ASSIGN_OR_RETURN(std::string text, read_input(file, oci::kMaxConfigBytes, true));
    const std::string name = "--process " + quoted(file);
    ASSIGN_OR_RETURN(out.process, oci::parse_process(std::move(text), name));
    out.name_process_member = [name](std::string_view member) { return name + ": " + std::string(member); };
    if (!config.ok()) return std::move(config).error();
    if (config->process) complete_confinement(out.process, std::move(*config->process));
    return {};
  }
  if (!config.ok()) return std::move(config).error();
  if (!config->process)
    return Error(Errc::kCorrupt, "container " + quoted(call.id()) + " has no process in its configuration");
  ASSIGN_OR_RETURN(out.process, process_from_flags(call, std::move(*config->process)));
  out.name_process_member = name_flag;
  return {};
}

}  // namespace

// "[controller,...:]path", each a place below the container's own cgroup, never outside of it; "/" is the container's
// own. runc's rules and words.
Result<std::map<std::string, std::string>> parse_sub_cgroups(const std::vector<std::string>& texts) {
  std::map<std::string, std::string> out;
  for (const std::string& text : texts) {
    const auto bad = [&](const std::string& why) {
      return Error(Errc::kInvalidArgument, "invalid --cgroup argument " + quoted(text) + ": " + why);
    };
    const auto parts = split(text, ':');
    if (parts.size() > 2) return bad("more than one colon");
    if (parts.size() == 1 && texts.size() != 1) return bad("missing '<controller>:' prefix");
    std::string path;
    for (const std::string_view part : split(parts.back(), '/')) {
      if (part.empty() || part == ".") continue;
      if (part == "..") return bad("it must not leave the container's cgroup");
      path += (path.empty() ? "" : "/") + std::string(part);
    }
    for (const std::string_view controller : split(parts.size() == 2 ? parts[0] : std::string_view(), ',')) {
      if (parts.size() == 2 && controller.empty()) return bad("empty controller name");
      if (!out.try_emplace(std::string(controller), path).second)
        return bad("controller " + quoted(controller) + " is named twice");
    }
  }
  // The container's own, where every process goes; named controllers are still looked for.
  if (const auto own = out.find(""); own != out.end() && own->second.empty()) out.erase(own);
  return out;
}

Result<int> run_exec(const Call& call) {
  const Arguments& arguments = call.arguments;
  ASSIGN_OR_RETURN(auto container, call.load());
  auto config = container.config();
  if (config.ok() && container::may_open_executables(*config)) RETURN_IF_ERROR(container::seal_executable_copy());
  container::ExecOptions options;
  options.ignore_paused = arguments.flag("ignore-paused");
  if (Status read = read_process(call, config, options); !read.ok()) {
    // One that is being created may have no configuration yet: that is what to say.
    if (auto may = container.check_exec(options.ignore_paused); !may.ok()) return std::move(may).error();
    return std::move(read).error();
  }
  ASSIGN_OR_RETURN(options.console_socket, absolute_path(arguments.value("console-socket")));
  ASSIGN_OR_RETURN(options.pidfd_socket, absolute_path(arguments.value("pidfd-socket")));
  ASSIGN_OR_RETURN(options.pid_file, absolute_path(arguments.value("pid-file")));
  ASSIGN_OR_RETURN(options.preserve_fds, preserved_fds(arguments));
  ASSIGN_OR_RETURN(options.sub_cgroups, parse_sub_cgroups(arguments.list("cgroup")));
  const bool detach = arguments.flag("detach");
  const bool terminal = options.process.terminal;
  RETURN_IF_ERROR(check_console(terminal, detach, !options.console_socket.empty()));
  if (options.process.user.uid != 0 && config.ok()) give_pipes_to(options.process, *config);
  if (detach) {
    ASSIGN_OR_RETURN(const auto created, container.exec(options));
    return 0;
  }
  ASSIGN_OR_RETURN(auto supervisor, Supervisor::create());
  if (const auto size = terminal ? caller_terminal_size() : std::nullopt) options.process.console_size = size;
  options.keep_console = terminal;
  ASSIGN_OR_RETURN(auto created, container.exec(options));
  if (terminal) {
    if (Status taken = supervisor.take_terminal(); !taken.ok()) log::warning(taken.error().message());
  }
  ASSIGN_OR_RETURN(const auto status, supervisor.wait_for(std::move(created)));
  return status.shell_code();
}

}  // namespace cooper::cli::coop
